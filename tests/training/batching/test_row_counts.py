"""Ratings per user and per movie."""

import numpy as np
import pytest

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import DataError
from cfmodel.training.batching.row_counts import RowCounts

RATINGS = RatingArrays(np.array([0, 2, 2], np.int32), np.array([4, 4, 1], np.int32), np.ones(3, np.float32))


def test_rows_without_a_rating_count_zero() -> None:
    counts = RowCounts.of(RATINGS, num_users=4, num_movies=5)
    assert (counts.user.tolist(), counts.movie.tolist()) == ([1, 0, 2, 0], [0, 1, 0, 0, 2])
    assert [len(side) for side in RowCounts.of(RATINGS)] == [3, 5]


def test_rows_beyond_the_tables_are_refused() -> None:
    with pytest.raises(DataError, match="train: a rating has movie row 4, but the table has rows 0 to 3; make the sp"):
        RowCounts.of(RATINGS, num_users=5, num_movies=4)
