"""Baselines that every run is compared with: global mean, damped biases, popularity."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import ConfigError, DataError

#: Pull of the biases to zero, in ratings. Of 0, 2, 5, 10, 15 for users and 0, 2, 5, 10, 25 for movies, these are
#: within 0.0001 of the best on validation slices of ML-100K's five training files: RMSE 0.942. Koren & Bell's 10 and
#: 25, chosen for Netflix with far more ratings per movie, give 0.953.
DAMPING_USER = 5.0
DAMPING_MOVIE = 5.0

#: Ratings per block: for 25 million ratings each float64 array would be 200 MB.
_BLOCK = 2**20


def damped_bias(sums: Tensor, counts: Tensor, *, damping: float) -> Tensor:
    """Estimate one additive bias per row, shrunk towards zero.

        b_r = sum(residual[index == r]) / (n_r + damping)

    Args:
        sums: Sum of each row's residuals, in rating units, float64, shape (R,): a popular movie has 100,000
            ratings, and float32 would lose digits.
        counts: Number of ratings of each row, int64, shape (R,).
        damping: Weight of the pull to zero, in ratings; 0 gives the plain mean.

    Returns:
        Biases in rating units, shape (R,); exactly 0 for a row without ratings.

    Raises:
        ConfigError: `damping` is negative.

    Source: Koren & Bell, "Advances in Collaborative Filtering" (2011), baseline predictors.
    """
    if damping < 0:
        raise ConfigError(f"damping must be 0 or more ratings, not {damping}")
    return torch.where(counts > 0, sums / (counts + damping).clamp(min=torch.finfo(torch.float64).tiny), 0.0)


@dataclass(frozen=True, eq=False)
class DampedBiases:
    """The model without its dot product, in closed form: the baseline that taste vectors must beat.

    Attributes:
        global_mean: Mean of the ratings, in rating units.
        user_biases: Bias of each user, in rating units, float64, shape (U,).
        movie_biases: Bias of each movie, in rating units, float64, shape (M,).
    """

    global_mean: float
    user_biases: npt.NDArray[np.float64]
    movie_biases: npt.NDArray[np.float64]

    def score(self, user_idx: npt.NDArray[np.int32], movie_idx: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        """Predict `global_mean + user_bias + movie_bias`; an unknown user or movie has bias 0.

        Args:
            user_idx: Rows of the users, negative if unknown, shape (N,).
            movie_idx: Rows of the movies, negative if unknown, shape (N,).

        Returns:
            Predictions in rating units, not clamped, shape (N,).
        """
        return self.global_mean + _known(self.user_biases, user_idx) + _known(self.movie_biases, movie_idx)


def fit_damped_biases(
    ratings: RatingArrays, num_users: int, num_movies: int, *, damping_user: float, damping_movie: float
) -> DampedBiases:
    """Fit movie biases to the residuals of the mean, then user biases to the residuals of both.

    The order matters. Movies come first, since their biases are known best: a user who watches only
    acclaimed movies is then not taken for a generous one.

    Args:
        ratings: Training ratings; all rows must be known, in [0, num_users) and [0, num_movies).
        num_users: Number of users, U.
        num_movies: Number of movies, M.
        damping_user: Pull of a user's bias to zero, in ratings.
        damping_movie: Pull of a movie's bias to zero, in ratings.

    Raises:
        ConfigError: A damping is negative.
        DataError: There are no ratings, or one has an unknown user or movie.

    Source: Koren & Bell, "Advances in Collaborative Filtering" (2011), baseline predictors.
    """
    _check_rows(ratings)
    mean = float(np.mean(ratings.rating, dtype=np.float64))
    sides = (ratings.movie_idx, num_movies, damping_movie), (ratings.user_idx, num_users, damping_user)
    fitted: list[Tensor] = []
    for index, num_rows, damping in sides:
        sums, counts = torch.zeros(num_rows, dtype=torch.float64), torch.zeros(num_rows, dtype=torch.int64)
        for start in range(0, len(ratings), _BLOCK):
            rows = slice(start, start + _BLOCK)
            residual = torch.from_numpy(ratings.rating[rows].astype(np.float64) - mean)
            for (known, _, _), biases in zip(sides, fitted, strict=False):
                residual -= biases[_indices(known[rows])]
            sums += torch.bincount(_indices(index[rows]), weights=residual, minlength=num_rows)
            counts += torch.bincount(_indices(index[rows]), minlength=num_rows)
        fitted.append(damped_bias(sums, counts, damping=damping))
    movie_biases, user_biases = fitted
    return DampedBiases(mean, user_biases.numpy(), movie_biases.numpy())


def popularity(ratings: RatingArrays, num_movies: int) -> npt.NDArray[np.int64]:
    """Return the number of ratings of each movie, int64, shape (M,); unknown movies are skipped."""
    known = ratings.movie_idx[ratings.movie_idx >= 0]
    return np.bincount(known, minlength=num_movies).astype(np.int64)


def _indices(rows: npt.NDArray[np.int32]) -> Tensor:
    return torch.from_numpy(rows.astype(np.int64))


def _known(biases: npt.NDArray[np.float64], rows: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
    return np.where(rows >= 0, biases[np.maximum(rows, 0)], 0.0)


def _check_rows(ratings: RatingArrays) -> None:
    if not len(ratings):
        raise DataError("biases cannot be fitted to 0 ratings; give the ratings of the training part")
    unknown = int(((ratings.user_idx < 0) | (ratings.movie_idx < 0)).sum())
    if unknown:
        raise DataError(
            f"{unknown:,} of {len(ratings):,} training ratings have a user or movie outside the vocabulary; "
            "fit biases to the part that the vocabulary comes from"
        )
