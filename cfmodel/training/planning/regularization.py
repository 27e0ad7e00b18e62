"""The default weight of the penalty on embeddings."""

import math

import numpy as np

from cfmodel.column_statistics import Counts
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.training.batching.row_counts import RowCounts

#: Chosen on validation slices of three data sets; see docs/defaults.md.
STRENGTH = 0.7


def default_regularization(train: RatingArrays, counts: RowCounts | None = None) -> float:
    """Return the weight of the penalty that suits the training ratings.

        0.7 * sqrt(1 / n_user + 1 / n_movie)

    where n_user is the number of ratings of a rating's user, averaged over the ratings, and n_movie likewise. It
    is the size of the error of a taste estimated from that many ratings: sparse ratings need a stronger penalty
    than dense ones.

    Args:
        train: The N training ratings, at least one.
        counts: Ratings of each row; None: they are counted here.
    """
    of_users, of_movies = map(_mean_count, counts or RowCounts.of(train))
    return STRENGTH * math.sqrt(1 / of_users + 1 / of_movies)


def _mean_count(counts: Counts) -> float:
    """Return the number of ratings of a rating's row, averaged over the ratings."""
    return float((counts.astype(np.float64) ** 2).sum() / counts.sum())
