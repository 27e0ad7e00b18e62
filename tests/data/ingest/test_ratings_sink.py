"""The streaming writer of ratings."""

import pyarrow as pa
import pyarrow.parquet as pq

from cfmodel.data.ingest.ratings_sink import RatingsSink, movies_of, users_of
from cfmodel.schema import ENCODED_RATINGS, RATINGS


def batch(users, movies):
    ids = [pa.array(ids).dictionary_encode() for ids in (users, movies)]
    times = pa.nulls(len(users), pa.int64())
    return pa.RecordBatch.from_arrays([*ids, pa.array([3.0] * len(users)), times], schema=ENCODED_RATINGS)


def test_codes_name_the_ids_of_each_rating_across_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("cfmodel.data.ingest.ratings_sink._ROW_GROUP_ROWS", 2)
    with RatingsSink(tmp_path / "x.parquet") as sink:
        sink.add(batch(["b", "a"], ["m", "n"]))
        sink.add(batch(["a", "c", "b"], ["m", "m", "k"]))
    pairs = sink.pairs()
    assert [sink.users[code].as_py() for code in users_of(pairs)] == ["b", "a", "a", "c", "b"]
    assert [sink.movies[code].as_py() for code in movies_of(pairs)] == ["m", "n", "m", "m", "k"]
    assert len(sink.pairs()) == 0
    with pq.ParquetFile(tmp_path / "x.parquet") as file:
        assert file.num_row_groups == 2
        assert file.read().schema.equals(RATINGS)
