"""A whole data set in memory, as rows of its own vocabularies, so that each id is in memory once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cfmodel.data.storage import (
    compact_column,
    dictionary_of,
    encode_column,
    is_whole,
    open_ratings_writer,
    read_ratings_file,
    take_rows,
)
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.errors import DigestError
from cfmodel.refs import DatasetRef
from cfmodel.schema import ENCODED_RATINGS, MOMENT, MOVIE_ID, RATING, TIMESTAMP, USER_ID

_ROW_GROUP_ROWS = 1_048_576
_THREADS = 2


@dataclass(frozen=True, eq=False)
class RatingsTable:
    """Ratings of one or two data sets, in order.

    Attributes:
        user_idx: Rows of `users`, int32, shape (N,).
        movie_idx: Rows of `movies`, int32, shape (N,).
        rating: Ratings in rating units, float64, shape (N,).
        timestamp: Nanoseconds since 1970-01-01 UTC, int64, shape (N,); None if some are missing.
        is_test: Which ratings are from the second data set, bool, shape (N,); None without a second.
    """

    users: Vocabulary
    movies: Vocabulary
    user_idx: npt.NDArray[np.int32]
    movie_idx: npt.NDArray[np.int32]
    rating: npt.NDArray[np.float64]
    timestamp: npt.NDArray[np.int64] | None
    is_test: npt.NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.rating)

    @classmethod
    def read(cls, data: DatasetRef, test: DatasetRef | None = None) -> Self:
        """Read a data set, and optionally a second one whose ratings are marked as test.

        Raises:
            DigestError: A file is missing or has changed.
        """
        refs = [ref for ref in (data, test) if ref is not None]
        for ref in refs:
            if not is_whole(ref):
                raise DigestError(f"{ref.path}: the ratings are missing or have changed; ingest them again")
        # Column by column, so that only a few columns are in memory twice.
        with ThreadPoolExecutor(_THREADS, "split") as threads:
            coded = threads.map(_coded, (refs, refs), (USER_ID, MOVIE_ID))
            plain = threads.map(_plain, (refs, refs), (RATING, TIMESTAMP))
        (users, user_idx), (movies, movie_idx) = coded
        rating, timestamp = plain
        assert rating is not None
        return cls(
            users=users,
            movies=movies,
            user_idx=user_idx,
            movie_idx=movie_idx,
            rating=rating,
            timestamp=timestamp,
            is_test=None if test is None else np.arange(len(user_idx)) >= data.rows,
        )

    def where(self, kept: npt.NDArray[np.bool_]) -> Self:
        """Return the ratings that a mask selects; the vocabularies stay the same."""
        return replace(
            self,
            user_idx=self.user_idx[kept],
            movie_idx=self.movie_idx[kept],
            rating=self.rating[kept],
            timestamp=None if self.timestamp is None else self.timestamp[kept],
            is_test=None if self.is_test is None else self.is_test[kept],
        )

    def write(self, path: Path, rows: npt.NDArray[np.int64]) -> None:
        """Write the ratings at some indices as Parquet, which is read back in the schema `RATINGS`."""
        with open_ratings_writer(path, ENCODED_RATINGS, first=pa.array(self.rating[rows[:_ROW_GROUP_ROWS]])) as writer:
            for first in range(0, len(rows), _ROW_GROUP_ROWS):
                writer.write_table(self._table(rows[first : first + _ROW_GROUP_ROWS]), row_group_size=_ROW_GROUP_ROWS)

    def _table(self, rows: npt.NDArray[np.int64]) -> pa.Table:
        columns = [
            # Parquet writes the whole dictionary, so it must not hold ids of other parts.
            compact_column(pa.DictionaryArray.from_arrays(take_rows(self.user_idx, rows), self.users.ids)),
            compact_column(pa.DictionaryArray.from_arrays(take_rows(self.movie_idx, rows), self.movies.ids)),
            pa.array(take_rows(self.rating, rows)),
            _moments(self.timestamp, rows),
        ]
        return pa.Table.from_arrays(columns, schema=ENCODED_RATINGS)


def _moments(timestamp: npt.NDArray[np.int64] | None, rows: npt.NDArray[np.int64]) -> pa.Array:
    return pa.nulls(len(rows), MOMENT) if timestamp is None else pa.array(take_rows(timestamp, rows), MOMENT)


def _column(refs: Sequence[DatasetRef], name: str) -> pa.ChunkedArray:
    tables = [read_ratings_file(ref.path / "ratings.parquet", [name]) for ref in refs]
    return pa.concat_tables(tables).unify_dictionaries()[name]


def _coded(refs: Sequence[DatasetRef], name: str) -> tuple[Vocabulary, npt.NDArray[np.int32]]:
    column = _column(refs, name)
    vocabulary = Vocabulary.of(dictionary_of(column))
    return vocabulary, encode_column(column, vocabulary)


def _plain(refs: Sequence[DatasetRef], name: str) -> npt.NDArray[Any] | None:
    """Return a column's numbers; None if some are missing, which only timestamps may be."""
    column = _column(refs, name)
    if column.null_count:
        return None
    numbers: npt.NDArray[Any] = (column.cast(pa.int64()) if column.type == MOMENT else column).to_numpy()
    return numbers
