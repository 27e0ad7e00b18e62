"""Streaming writer of ratings; of each rating it keeps the user and movie code in memory, 8 bytes."""

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cfmodel.data.storage import compact, open_ratings_writer
from cfmodel.schema import ENCODED_RATINGS, MOVIE_ID, RATING, USER_ID

#: Minimum number of ratings in a row group, except for the last.
_ROW_GROUP_ROWS = 1_048_576

Pairs = npt.NDArray[np.int64]


class RatingsSink:
    """A Parquet file of ratings, written batch by batch.

    Attributes:
        users: Ids of the users so far; a user's code is its index.
        movies: Ids of the movies so far.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._pairs: list[Pairs] = []
        self.users = pa.array([], pa.string())
        self.movies = pa.array([], pa.string())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Add ratings in the schema `ENCODED_RATINGS`."""
        if batch.num_rows:
            self._waiting.append(batch)
            self._waiting_rows += batch.num_rows
        if self._waiting_rows >= _ROW_GROUP_ROWS:
            self._flush()

    def pairs(self) -> Pairs:
        """Return the user and movie code of each rating as one number, in order, and release them."""
        pairs = np.concatenate([np.empty(0, np.int64), *self._pairs])
        self._pairs.clear()
        return pairs

    def _flush(self) -> None:
        if not self._waiting:
            return
        ratings = compact(pa.Table.from_batches(self._waiting, ENCODED_RATINGS))
        self._waiting, self._waiting_rows = [], 0
        users, movies = ratings[USER_ID].chunk(0), ratings[MOVIE_ID].chunk(0)
        self.users, user_codes = _coded(users, self.users)
        self.movies, movie_codes = _coded(movies, self.movies)
        self._pairs.append(_pair_codes(user_codes, movie_codes))
        if self._writer is None:
            self._writer = open_ratings_writer(self._path, ENCODED_RATINGS, first=ratings[RATING])
        self._writer.write_table(ratings, row_group_size=ratings.num_rows)


def _pair_codes(users: npt.NDArray[np.int32], movies: npt.NDArray[np.int32]) -> Pairs:
    """Return two codes as one number, which sorts by user, then movie."""
    pairs: Pairs = (users.astype(np.int64) << 32) | movies
    return pairs


def users_of(pairs: Pairs) -> npt.NDArray[np.int64]:
    """Return the user code of each pair."""
    return pairs >> 32


def movies_of(pairs: Pairs) -> npt.NDArray[np.int64]:
    """Return the movie code of each pair."""
    return pairs & 0xFFFF_FFFF


def _coded(column: pa.DictionaryArray, known: pa.StringArray) -> tuple[pa.StringArray, npt.NDArray[np.int32]]:
    """Return the known ids with the new ones added, and each row's index into them."""
    found = pc.index_in(column.dictionary, value_set=known)
    fresh = column.dictionary.filter(pc.is_null(found))
    codes = found.fill_null(0).to_numpy().copy()
    codes[pc.is_null(found).to_numpy(zero_copy_only=False)] = len(known) + np.arange(len(fresh))
    return pa.concat_arrays([known, fresh]), codes[column.indices.to_numpy()]
