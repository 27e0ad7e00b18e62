"""Distinct values: blanks and missing values."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cfmodel.data.formats.distinct_values import DistinctValues
from cfmodel.errors import DataError

MOMENT = datetime(2009, 12, 14, 2, 52, 24, tzinfo=UTC)
SECONDS = int(MOMENT.timestamp())


@pytest.mark.parametrize("separator", [",", ";", "::", "\t"])
def test_blanks_around_a_field_are_stripped(separator, read, write):
    rows = [("userId", "movieId", "rating", "timestamp"), (7, "a b", 3, "2009-12-14"), (8, "a b", 4, "2009-12-14")]
    content = "".join(separator.join(f" {field} " for field in row) + "\n" for row in rows)
    midnight = SECONDS // 86400 * 86400
    assert read(write("x.csv", content))[1] == [("7", "a b", 3.0, midnight), ("8", "a b", 4.0, midnight)]


HEAD = "userId,movieId,rating,timestamp\n"


def test_missing_values_are_known_by_their_usual_names(read, write):
    names = ["", "NA", "N/A", "null", "NULL", "None", "nan", "\\N", "?", "-", "#N/A"]
    rows = "".join(f"{place},1,{name},5\n" for place, name in enumerate(names))
    rows += "".join(f"{name},1,3,5\n" for name in names) + "Nan,1,3,5\nnone,2,4,5\n"
    ref, kept = read(write("x.csv", HEAD + rows), on_bad_row="quarantine", max_bad_fraction=1)
    assert [row[0] for row in kept] == ["Nan", "none"]
    assert ref.accounts.quarantined == 2 * len(names)
    path = write("y.csv", HEAD + "NA,null,3,5\n")
    assert read(path, missing=())[1] == [("NA", "null", 3.0, 5)]
    with pytest.raises(DataError, match=r"movie_id '9' stands for a missing value; .* remove it from ingest.missing"):
        read(write("z.csv", "1,9,3\n"), missing=("9",))


def test_ids_that_differ_only_in_blanks_are_one_entry_of_the_dictionary():
    column = pa.array([b"a ", b"b", b"a", None, b"b"])
    ids = DistinctValues.of(column, trim=True, missing=()).as_dictionary()
    assert ids.to_pylist() == ["a", "b", "a", "", "b"]
    assert ids.dictionary.to_pylist() == ["a", "b", ""]


def test_a_source_with_blanks_around_some_ids_has_the_same_digest_every_time(read, write):
    path = write("x.csv", "1,m ,3\n2,m,4\n" + "".join(f"{user},n{user % 3},1\n" for user in range(3, 40)))
    digests = set()
    for _ in range(20):
        ref, _ = read(path)
        digests.add(ref.digest)
        (ref.path / "manifest.json").unlink()
    assert len(digests) == 1


def stored(read, tmp_path, users):
    """Return the user ids after ingest of a Parquet file with a column of them."""
    rows = len(users)
    table = pa.table({"user": users, "item": [str(row) for row in range(rows)], "rating": [3.0] * rows})
    pq.write_table(table, tmp_path / "x.parquet")
    return [row[0] for row in read(tmp_path / "x.parquet")[1]]


LARGE = [2**53, 2**53 + 1, 1234567890123456789, 1234567890123456790, 7]


@pytest.mark.parametrize(
    "type",
    [pa.decimal128(38, 0), pa.decimal128(30, 2), pa.decimal256(60, 0), pa.decimal64(18, 0), pa.int64(), pa.uint64()],
)
def test_whole_numbers_of_every_width_are_exact_ids(type, read, tmp_path):
    numbers = [number for number in LARGE if not pa.types.is_decimal64(type) or number < 10**18]
    users = pa.array([Decimal(number) for number in numbers] if pa.types.is_decimal(type) else numbers, type)
    assert stored(read, tmp_path, users) == [str(number) for number in numbers]


def test_a_decimal_id_with_a_fraction_is_no_whole_number(read, tmp_path):
    with pytest.raises(DataError, match=r"row 2: user_id Decimal\('7.50'\) is not a whole number"):
        stored(read, tmp_path, pa.array([Decimal("7.00"), Decimal("7.50")], pa.decimal128(9, 2)))


@pytest.mark.parametrize(("type", "bits"), [(pa.float64(), 53), (pa.float32(), 24)])
def test_a_float_that_may_be_several_whole_numbers_is_no_id(type, bits, read, tmp_path):
    assert stored(read, tmp_path, pa.array([2.0**bits - 1, 5.0, None], type)[:2]) == [str(2**bits - 1), "5"]
    with pytest.raises(DataError, match=rf"user_id {2**bits} is a float, and {type.bit_width} bits hold no whole"):
        stored(read, tmp_path, pa.array([2.0**bits, 5.0], type))


def test_uuids_and_other_types_of_text_are_text(read, tmp_path):
    values = [UUID(int=5), UUID(int=2**127 + 3), UUID(int=5)]
    uuids = pa.array([value.bytes for value in values], pa.uuid())
    assert stored(read, tmp_path, uuids) == [str(value) for value in values]
    text = ["a", "b", "a"]
    for type in (pa.large_string(), pa.string_view(), pa.binary(), pa.binary_view(), pa.binary(1), pa.json_()):
        assert stored(read, tmp_path, pa.array(text, pa.string()).cast(type)) == text, type


def test_bytes_that_are_no_text_are_refused_with_their_type(read, tmp_path):
    users = pa.array([UUID(int=2**127).bytes, UUID(int=2**127 + 200).bytes], pa.binary(16))
    with pytest.raises(DataError, match=r"is not UTF-8 text; .*; write a column of type .*16.* as text, in hex"):
        stored(read, tmp_path, users)


def test_an_extension_type_that_is_not_known_is_refused_with_file_column_and_type(read, tmp_path):
    with pytest.raises(DataError, match=r"^x.parquet: user_id is of type extension<arrow.bool8>, not text or a whole"):
        stored(read, tmp_path, pa.array([1, 2], pa.int8()).cast(pa.bool8()))


def test_an_id_has_a_longest_length(read, write):
    assert read(write("x.csv", f"{'é' * 2048},2,3\n1,2,3\n"))[0].users == 2
    with pytest.raises(DataError, match=r"row 2: user_id 'xx.* is longer than 2,048 characters; shorten such ids"):
        read(write("y.csv", f"1,2,3\n{'x' * 2049},2,3\n"))
