"""Tastes of users the model was not trained on, from their ratings alone: no training, one equation each.

With the movies' biases b_i and embeddings q_i left as they are, a new user's bias and embedding w
are those that explain the user's ratings r_i best and are not far from what users are like:

    minimise  sum_i (r_i - global_mean - b_i - <w, (1, q_i)>)^2 + s (w - m)' C^-1 (w - m)

with m the mean and C the covariance of the trained users' biases and embeddings: a ridge whose
strength along each direction is learned from those users. s is `PRIOR_WEIGHT` times the mean
squared error on ratings not learned from.

Source: Koren & Bell, "Advances in Collaborative Filtering" (2011), section 5.3.2, on deriving a new
user's factors from the movies'; the prior as in Salakhutdinov & Mnih, "Bayesian Probabilistic Matrix
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

#: Share of the noise that the prior weighs with. Trained users' tastes are shrunk, so that their covariance is too
#: small; of 0.5, 1, 2 and 4, 0.5 was best or within 0.001 of it for 1 to 30 given ratings of users held out of
#: ML-100K, ML-latest-small and `synthetic`.
PRIOR_WEIGHT = 0.5

#: Noise where it was not measured, as a share of the rating range: 0.8 stars of 1 to 5.
_UNMEASURED_NOISE = 0.2

#: Given ratings held at once, padding included: some 50 MB at dimension 50.
_BLOCK_RATINGS = 2**17


@dataclass(frozen=True, eq=False)
class FoldIn:
    """Finds tastes for a model's new users.

    Attributes:
        recommender: The model.
        movies: What the model's movies bring to predictions.
        mean: Of the trained users' offsets and vectors, float64, shape (D + 1,).
        ridge: s C^-1, float64, shape (D + 1, D + 1).
    """

    recommender: Recommender
    movies: SideRows
    mean: Tensor
    ridge: Tensor

    @classmethod
    def of(cls, recommender: Recommender) -> Self:
        """Learn from a model's users what users are like."""
        model = recommender.model
        rows = model.side_rows("user")
        users = torch.cat([rows.offset.unsqueeze(1), rows.vectors], dim=1).double()
        mean = users.mean(dim=0)
        centred = users - mean
        covariance = centred.T @ centred / len(users)
        # A direction in which no two users differ is no reason to divide by zero.
        least = 1e-6 * covariance.diagonal().mean() + 1e-9
        covariance = covariance + least * torch.eye(len(mean), dtype=torch.float64, device=mean.device)
        return cls(
            recommender,
            model.side_rows("movie"),
            mean,
            PRIOR_WEIGHT * _noise(recommender) * torch.linalg.inv(covariance),
        )

    def tastes(self, ratings: RatingArrays, num_users: int) -> SideRows:
        """Fold users in.

        A rating of a movie the model does not know says nothing; a user without any other is taken
        for the mean user.

        Args:
            ratings: The users' ratings; `user_idx` numbers them in [0, num_users), shape (N,).
            num_users: Users, B.
        """
        known = ratings.movie_idx >= 0
        user, movie, rating = ratings.user_idx[known], ratings.movie_idx[known], ratings.rating[known]
        counts = np.bincount(user, minlength=num_users)
        by_user = np.argsort(user, kind="stable")
        starts = np.cumsum(counts) - counts
        found = torch.empty(num_users, len(self.mean), dtype=torch.float64, device=self.mean.device)
        # Users with as many ratings side by side, so that little is padded.
        for users in _blocks(counts):
            place = np.arange(counts[users].max(initial=0))
            given = place < counts[users][:, None]
            cells = by_user[(starts[users][:, None] + place)[given]]
            movies, values = np.zeros(given.shape, np.int64), np.zeros(given.shape, np.float64)
            movies[given], values[given] = movie[cells], rating[cells]
            tensors = (torch.from_numpy(each).to(self.mean.device) for each in (movies, values, given))
            found[torch.from_numpy(users)] = self._solve(*tensors)
        return SideRows(found[:, 1:].float(), found[:, 0].float())

    def predict(self, users: SideRows, movie_idx: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Predict one rating per taste.

        Args:
            users: N users, as `tastes` returns them.
            movie_idx: One movie for each, negative where unknown, shape (N,).

        Returns:
            Predictions in rating units, clamped like the model's own, shape (N,).
        """
        movies = torch.from_numpy(np.maximum(movie_idx, 0).astype(np.int64)).to(self.mean.device)
        dot = (users.vectors * self.movies.vectors[movies]).sum(dim=1)
        warm = torch.from_numpy(movie_idx >= 0).to(self.mean.device)
        scores = self.recommender.model.global_mean + users.offset + (self.movies.offset[movies] + dot) * warm
        clamped = scores.clamp(self.recommender.rating_min, self.recommender.rating_max)
        predictions: npt.NDArray[np.float32] = clamped.float().cpu().numpy()
        return predictions

    def _solve(self, movie_idx: Tensor, rating: Tensor, given: Tensor) -> Tensor:
        """Solve for a block of users, shape (B, n) each; what is not `given` is padding."""
        weight = given.double()
        ones = torch.ones_like(weight).unsqueeze(2)
        factors = torch.cat([ones, self.movies.vectors[movie_idx].double()], dim=2)
        factors = factors * weight.unsqueeze(2)
        explained = self.recommender.model.global_mean.double() + self.movies.offset[movie_idx].double()
        residual = (rating - explained) * weight
        left = factors.transpose(1, 2) @ factors + self.ridge
        right = (factors.transpose(1, 2) @ residual.unsqueeze(2)).squeeze(2) + self.ridge @ self.mean
        solved: Tensor = torch.linalg.solve(left, right)
        return solved


def _noise(recommender: Recommender) -> float:
    if recommender.val_rmse is not None:
        return recommender.val_rmse**2
    return (_UNMEASURED_NOISE * (recommender.rating_max - recommender.rating_min)) ** 2


def _blocks(counts: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Cut users, fewest ratings first, into blocks of bounded size, padding included."""
    order = np.argsort(counts, kind="stable")
    rising = counts[order]
    blocks, start = [], 0
    while start < len(order):
        # The longest list of a block decides its width: as many users as fit beside the one it would end with.
        size = np.arange(1, len(order) - start + 1) * np.maximum(1, rising[start:])
        length = max(1, int(np.searchsorted(size, _BLOCK_RATINGS, side="right")))
        blocks.append(order[start : start + length])
        start += length
    return blocks
