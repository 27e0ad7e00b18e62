"""Ratings on disk, and the check of their digests."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_splits import divide, random_rows

from cfmodel.config import IngestSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.storage import (
    compact_column,
    encode_column,
    find_earlier,
    is_whole,
    open_ratings_writer,
    read_ratings_file,
)
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.refs import SplitRef
from cfmodel.schema import MOMENT, RATING, RATINGS, USER_ID


def test_a_flipped_bit_or_a_missing_file_is_detected(tmp_path):
    ref = ingest("synthetic:users=20,movies=10,ratings=60", IngestSettings(), folder=tmp_path)
    assert is_whole(ref)
    path = ref.path / "ratings.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert not is_whole(ref)
    path.unlink()
    assert not is_whole(ref)


@pytest.mark.parametrize("name", ["train", "val", "test", "users", "movies"])
def test_a_split_with_a_missing_file_is_not_whole(tmp_path, name):
    ref, _ = divide(random_rows(), tmp_path)
    (ref.path / f"{name}.parquet").unlink()
    assert not is_whole(ref)


def test_ratings_are_read_back_with_one_dictionary_per_column(tmp_path):
    rows = [{"user_id": f"u{at % 3}", "movie_id": f"m{at}", "rating": 3.0, "timestamp": None} for at in range(6)]
    table = pa.Table.from_pylist(rows, RATINGS)
    with open_ratings_writer(tmp_path / "x.parquet", RATINGS, first=table[RATING]) as writer:
        writer.write_table(table, row_group_size=2)
    read = read_ratings_file(tmp_path / "x.parquet")
    assert read.to_pylist() == rows
    assert {tuple(chunk.dictionary.to_pylist()) for chunk in read[USER_ID].chunks} == {("u0", "u1", "u2")}
    assert encode_column(read[USER_ID], Vocabulary.of(["u2", "u0"])).tolist() == [0, -1, 1, 0, -1, 1]


def test_a_compact_column_has_the_same_values_and_no_unused_ids():
    column = pa.DictionaryArray.from_arrays(pa.array([3, 1, 3], pa.int32()), pa.array(["a", "b", "c", "d"]))
    assert compact_column(column).to_pylist() == ["d", "b", "d"]
    assert compact_column(column).dictionary.to_pylist() == ["b", "d"]


def test_an_earlier_result_is_found_only_with_a_readable_manifest(tmp_path):
    ref, _ = divide(random_rows(), tmp_path)
    found = find_earlier(SplitRef, ref.path, "split")
    assert found == ref
    assert found.reused
    (ref.path / "manifest.json").write_text("{}")
    assert find_earlier(SplitRef, ref.path, "split") is None


def test_times_of_earlier_versions_are_read_as_the_moments_they_were(tmp_path):
    """Up to 0.2.0 a timestamp was an integer, in seconds."""
    earlier = {"user_id": ["1"] * 4, "movie_id": list("abcd"), "rating": [3.0] * 4}
    seconds = [1_600_000_000, -1, None, 253_402_300_799]
    pq.write_table(pa.table(earlier | {"timestamp": pa.array(seconds, pa.int64())}), tmp_path / "x.parquet")
    found = read_ratings_file(tmp_path / "x.parquet", ["timestamp"])["timestamp"]
    assert found.type == MOMENT
    moments = found.cast(pa.int64()).to_pylist()
    assert moments[:3] == [1_600_000_000 * 10**9, -(10**9), None]
    assert moments[3] > 2**62  # the year 9999 is beyond nanoseconds, and stays the newest
