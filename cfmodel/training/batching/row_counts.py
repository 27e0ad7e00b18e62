"""Ratings per user and per movie, counted once for the penalty, the batches and the monitor."""

from typing import NamedTuple, Self

import numpy as np

from cfmodel.column_statistics import Counts, Rows, occurrences
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import DataError


class RowCounts(NamedTuple):
    """Number of ratings of each row of either side, int64, shape (rows,)."""

    user: Counts
    movie: Counts

    @classmethod
    def of(cls, ratings: RatingArrays, *, num_users: int | None = None, num_movies: int | None = None) -> Self:
        """Count the ratings of this many rows; None: of the rows up to the last one with a rating.

        Raises:
            DataError: A row is out of range; compiled code, which does not check, would write outside the tables.
        """
        sides = ("user", ratings.user_idx, num_users), ("movie", ratings.movie_idx, num_movies)
        return cls(*(_count_rows(*side) for side in sides))


def _count_rows(side: str, rows: Rows, number: int | None) -> Counts:
    counts = occurrences(rows)
    if number is None:
        return counts
    if len(counts) > number:
        raise DataError(
            f"train: a rating has {side} row {len(counts) - 1:,}, but the table has rows 0 to {number - 1:,}; "
            "make the split again"
        )
    return np.pad(counts, (0, number - len(counts)))
