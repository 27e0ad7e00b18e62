"""How many ratings each user and each movie has: asked for by penalty, batches and monitor, counted once."""

from typing import NamedTuple, Self

import numpy as np

from cfmodel.columns import Counts, occurrences
from cfmodel.data.parts import RatingArrays


class RowCounts(NamedTuple):
    """Ratings of each row of either side, int64, shape (rows,)."""

    user: Counts
    movie: Counts

    @classmethod
    def of(cls, ratings: RatingArrays, *, num_users: int = 0, num_movies: int = 0) -> Self:
        """Count them, of so many rows at least."""
        sides = (ratings.user_idx, num_users), (ratings.movie_idx, num_movies)
        return cls(*(_padded(occurrences(rows), number) for rows, number in sides))


def _padded(counts: Counts, number: int) -> Counts:
    return np.pad(counts, (0, max(0, number - len(counts))))
