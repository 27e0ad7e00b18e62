"""How many ratings each user and each movie has: asked for by penalty, batches and monitor, counted once."""

from typing import NamedTuple, Self

import numpy as np

from cfmodel.column_statistics import Counts, Rows, occurrences
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import DataError


class RowCounts(NamedTuple):
    """Ratings of each row of either side, int64, shape (rows,)."""

    user: Counts
    movie: Counts

    @classmethod
    def of(cls, ratings: RatingArrays, *, num_users: int | None = None, num_movies: int | None = None) -> Self:
        """Count them, of so many rows; None: of those up to the last that has any.

        Raises:
            DataError: There are rows beyond those; compiled code, which does not look, would write beyond the tables.
        """
        sides = ("user", ratings.user_idx, num_users), ("movie", ratings.movie_idx, num_movies)
        return cls(*(_counted(*side) for side in sides))


def _counted(side: str, rows: Rows, number: int | None) -> Counts:
    counts = occurrences(rows)
    if number is None:
        return counts
    if len(counts) > number:
        raise DataError(f"train: a rating has {side} row {len(counts) - 1:,}, of {number:,} counted from 0; split anew")
    return np.pad(counts, (0, number - len(counts)))
