"""How strongly to hold embeddings back where no strength is set."""

import numpy as np
import numpy.typing as npt

from cfmodel.data.parts import RatingArrays

#: Chosen on validation slices of three data sets; see docs/defaults.md.
STRENGTH = 0.7


def default_regularization(train: RatingArrays) -> float:
    """Return the weight of the penalty on embeddings that suits the training ratings.

        0.7 * std(rating) * sqrt(1 / n_user + 1 / n_movie)

    where n_user is how many ratings the user of a rating has, averaged over the ratings, and n_movie
    likewise. It is the size of the error in a taste known from so few ratings: sparse ratings need a
    strong hand, dense ones a light one. It scales with the ratings, as the loss does.

    Args:
        train: The N training ratings, at least one.
    """
    spread = float(np.std(train.rating, dtype=np.float64))
    return STRENGTH * spread * float(np.sqrt(1 / _mean_count(train.user_idx) + 1 / _mean_count(train.movie_idx)))


def _mean_count(rows: npt.NDArray[np.int32]) -> float:
    """Return the mean over ratings of how many ratings their row has."""
    counts = np.bincount(rows).astype(np.float64)
    return float((counts**2).sum() / counts.sum())
