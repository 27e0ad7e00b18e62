"""Loading of a split's parts."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_splits import divide, random_rows, store

from cfmodel.config import SplitSettings
from cfmodel.data.splitting.parts import concatenate, load_part, load_together, load_vocabularies
from cfmodel.data.splitting.split import split
from cfmodel.errors import DigestError


def test_a_part_is_read_back_as_rows_of_the_vocabularies(tmp_path):
    train = [(f"u{user}", f"m{movie}", 3.0, 7) for user in range(9) for movie in range(9)]
    ref, parts = divide(train, tmp_path, test=[("new", "m0", 5.0, 8), ("u0", "new", 0.5, 9)])
    users, movies = load_vocabularies(ref)
    test = load_part(ref, "test", users=users, movies=movies)
    assert test.user_idx.tolist() == [-1, 0]
    assert test.movie_idx.tolist() == [0, -1]
    assert (test.rating.tolist(), test.timestamp.tolist()) == ([5.0, 0.5], [8 * 10**9, 9 * 10**9])
    assert [array.dtype for array in (test.user_idx, test.movie_idx, test.rating, test.timestamp)] == [
        np.int32,
        np.int32,
        np.float64,
        np.int64,
    ]
    assert load_part(ref, "test", users=users, movies=movies, timestamps=False).timestamp is None
    assert test[1:].user_idx.tolist() == [0]
    assert test[1:].timestamp.tolist() == [9 * 10**9]
    read = load_part(ref, "train", users=users, movies=movies)
    ids = zip(users.decode(read.user_idx), movies.decode(read.movie_idx), strict=True)
    assert sorted(ids) == sorted(row[:2] for row in parts["train"])


def test_parts_and_their_vocabularies_are_joined(tmp_path):
    ref, parts = divide(random_rows(), tmp_path)
    users, movies = load_vocabularies(ref, parts=("train", "val"))
    assert set(users.ids.to_pylist()) == {row[0] for row in parts["train"] + parts["val"]}
    joined = concatenate(*(load_part(ref, part, users=users, movies=movies) for part in ("train", "val")))
    assert len(joined) == ref.train_rows + ref.val_rows
    assert joined.user_idx.min() == 0
    assert joined.timestamp is not None


def test_parts_that_are_loaded_together_share_memory(tmp_path):
    ref, _ = divide(random_rows(), tmp_path)
    users, movies = load_vocabularies(ref)
    together, parts = load_together(ref, ("train", "test"), users=users, movies=movies)
    assert list(parts) == ["train", "test"]
    assert len(together) == ref.train_rows + ref.test_rows
    for name, part in parts.items():
        alone = load_part(ref, name, users=users, movies=movies)
        for column in ("user_idx", "movie_idx", "rating"):
            assert getattr(part, column).tolist() == getattr(alone, column).tolist()
            assert np.shares_memory(getattr(part, column), getattr(together, column))
        assert part.timestamp is None


def test_without_timestamps_a_part_has_none(tmp_path):
    ref, _ = divide([row[:3] for row in random_rows()], tmp_path)
    users, movies = load_vocabularies(ref)
    assert load_part(ref, "val", users=users, movies=movies).timestamp is None


def test_damaged_data_and_damaged_parts_are_refused(tmp_path):
    ref, _ = divide(random_rows(), tmp_path)
    users, movies = load_vocabularies(ref)
    table = pq.read_table(ref.path / "val.parquet")
    pq.write_table(pa.concat_tables([table, table]), ref.path / "val.parquet")
    with pytest.raises(DigestError, match="run the split again"):
        load_part(ref, "val", users=users, movies=movies)
    (ref.path / "val.parquet").unlink()
    with pytest.raises(DigestError, match=r"val.parquet: cannot be read"):
        load_part(ref, "val", users=users, movies=movies)
    data = store(random_rows(), tmp_path)
    (data.path / "ratings.parquet").write_bytes(b"damaged")
    with pytest.raises(DigestError, match="ingest them again"):
        split(data, SplitSettings(seed=9), folder=tmp_path)
