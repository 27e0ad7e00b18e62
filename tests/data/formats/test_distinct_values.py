"""Distinct values: blanks and missing values."""

from datetime import UTC, datetime

import pyarrow as pa
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
