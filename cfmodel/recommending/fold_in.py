"""Fold-in: offsets and vectors of users the model was not trained on, from their ratings, without training.

The movies' offsets b_i and vectors q_i stay fixed. A new user's offset and vector, together w, solve a
ridge regression of the user's standardized ratings z_i:

    minimise  sum_i (z_i - b_i - <w, (1, q_i)>)^2 + s (w - m)' C^-1 (w - m)

with m the mean and C the covariance of the trained users' offsets and vectors, so that the strength of
the ridge in each direction is learned from them. s is `PRIOR_WEIGHT` times the mean squared error on
held-out ratings.

Source: Koren & Bell, "Advances in Collaborative Filtering" (2011), section 5.3.2, on deriving a new
user's factors from the movies'; the prior is that of Salakhutdinov & Mnih, "Bayesian Probabilistic Matrix
Factorization" (2008).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.model import SideRows
from cfmodel.recommending.recommender import Recommender

#: Factor of the noise in s. It is below 1 because regularisation shrinks the trained users' vectors, and so their
#: covariance. Of 0.5, 1, 2 and 4, 0.5 was best or within 0.001 of the best for 1 to 30 given ratings of users held out
#: of ML-100K, ML-latest-small and `synthetic`.
PRIOR_WEIGHT = 0.5

#: RMSE to assume where none was measured, as a share of the rating range: 0.8 stars for ratings from 1 to 5.
_UNMEASURED_NOISE = 0.2

#: Ratings per block, padding included: some 50 MB at dimension 50.
_BLOCK_RATINGS = 2**17


@dataclass(frozen=True, eq=False)
class FoldIn:
    """Fold-in of new users into a model.

    Attributes:
        mean: m, mean of the trained users' offsets and vectors, float64, shape (D + 1,).
        ridge: s C^-1, float64, shape (D + 1, D + 1).
    """

    recommender: Recommender
    movies: SideRows
    mean: Tensor
    ridge: Tensor

    @classmethod
    def of(cls, recommender: Recommender) -> Self:
        """Compute mean and ridge from a model's users."""
        model = recommender.model
        rows = model.side_rows("user")
        users = torch.cat([rows.offset.unsqueeze(1), rows.vectors], dim=1).double()
        mean = users.mean(dim=0)
        centred = users - mean
        covariance = centred.T @ centred / len(users)
        # Where users do not differ in some direction, the covariance alone has no inverse.
        least = 1e-6 * covariance.diagonal().mean() + 1e-9
        covariance = covariance + least * torch.eye(len(mean), dtype=torch.float64, device=mean.device)
        return cls(
            recommender,
            model.side_rows("movie"),
            mean,
            PRIOR_WEIGHT * _noise(recommender) * torch.linalg.inv(covariance),
        )

    def solve(self, ratings: RatingArrays, num_users: int) -> SideRows:
        """Return the offsets and vectors of new users.

        Ratings of unknown movies are skipped; a user with no other rating gets the mean user's rows.

        Args:
            ratings: The users' ratings; `user_idx` numbers the users in [0, num_users), shape (N,).
            num_users: Number of users, B.
        """
        known = ratings.movie_idx >= 0
        user, movie = ratings.user_idx[known], ratings.movie_idx[known]
        rating = self.recommender.model.scale.standardized(ratings.rating[known])
        counts = np.bincount(user, minlength=num_users)
        by_user = np.argsort(user, kind="stable")
        starts = np.cumsum(counts) - counts
        found = torch.empty(num_users, len(self.mean), dtype=torch.float64, device=self.mean.device)
        # Users with about as many ratings share a block, which keeps padding small.
        for users in _blocks(counts):
            place = np.arange(counts[users].max(initial=0))
            given = place < counts[users][:, None]
            cells = by_user[(starts[users][:, None] + place)[given]]
            movies, values = np.zeros(given.shape, np.int64), np.zeros(given.shape, np.float64)
            movies[given], values[given] = movie[cells], rating[cells]
            tensors = (torch.from_numpy(each).to(self.mean.device) for each in (movies, values, given))
            found[torch.from_numpy(users)] = self._solve_block(*tensors)
        return SideRows(found[:, 1:].float(), found[:, 0].float())

    def predict(self, users: SideRows, movie_idx: npt.NDArray[np.int32]) -> npt.NDArray[np.float64]:
        """Predict one rating per user.

        Args:
            users: N users, as `solve` returns them.
            movie_idx: One movie for each user, negative where unknown, shape (N,).

        Returns:
            Predictions in rating units, clamped to the training range, float64, shape (N,).
        """
        movies = torch.from_numpy(np.maximum(movie_idx, 0).astype(np.int64)).to(self.mean.device)
        dot = (users.vectors * self.movies.vectors[movies]).sum(dim=1)
        warm = torch.from_numpy(movie_idx >= 0).to(self.mean.device)
        scores = users.offset + (self.movies.offset[movies] + dot) * warm
        predictions: npt.NDArray[np.float64] = self.recommender.clamped(scores).cpu().numpy()
        return predictions

    def _solve_block(self, movie_idx: Tensor, rating: Tensor, given: Tensor) -> Tensor:
        """Solve for a block of users; arguments have shape (B, n), and cells not `given` are padding."""
        weight = given.double()
        ones = torch.ones_like(weight).unsqueeze(2)
        factors = torch.cat([ones, self.movies.vectors[movie_idx].double()], dim=2)
        factors = factors * weight.unsqueeze(2)
        residual = (rating - self.movies.offset[movie_idx].double()) * weight
        left = factors.transpose(1, 2) @ factors + self.ridge
        right = (factors.transpose(1, 2) @ residual.unsqueeze(2)).squeeze(2) + self.ridge @ self.mean
        solved: Tensor = torch.linalg.solve(left, right)
        return solved


def _noise(recommender: Recommender) -> float:
    """Return the mean squared error on held-out ratings, standardized."""
    rmse = recommender.val_rmse
    if rmse is None:
        rmse = _UNMEASURED_NOISE * (recommender.rating_max - recommender.rating_min)
    return (rmse / recommender.model.scale.std) ** 2


def _blocks(counts: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Split users, fewest ratings first, into blocks of at most `_BLOCK_RATINGS` cells, padding included."""
    order = np.argsort(counts, kind="stable")
    ascending = counts[order]
    blocks, start = [], 0
    while start < len(order):
        # size[n - 1]: cells of a block of n users, whose width is its last user's number of ratings.
        size = np.arange(1, len(order) - start + 1) * np.maximum(1, ascending[start:])
        length = max(1, int(np.searchsorted(size, _BLOCK_RATINGS, side="right")))
        blocks.append(order[start : start + length])
        start += length
    return blocks
