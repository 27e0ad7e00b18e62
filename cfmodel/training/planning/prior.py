"""The prior of the weights: where biases start, and how strongly each row is pulled to zero.

Both come from the training ratings. With noise of variance s2 and biases of variances t_user and t_movie, all
estimated by the evidence in alternating sweeps over the standardized ratings z:

    v_m = 1 / (1 / t_movie + n_m / s2)        b_m = v_m / s2 * sum(z - level - b_u)        users likewise
    t = mean(b^2 + v)                          s2 = mean(e^2 + v_u + v_m)

Source: Salakhutdinov & Mnih, "Bayesian Probabilistic Matrix Factorization" (2008), for the model; MacKay, "Bayesian
Interpolation" (1992), for the estimates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.model import CollaborativeFiltering
from cfmodel.system.compiled import FAST, compiled
from cfmodel.tables import SIDES, Side, Table
from cfmodel.training.batching.row_counts import RowCounts

#: Most sweeps, and the relative change of the variances below which they end.
_SWEEPS, _CONVERGED = 30, 1e-3
#: Largest pull of a bias to zero, in ratings: ratings without any biases would have an infinite one.
_STRONGEST = 100.0
_LEAST_NOISE = 1e-6
#: The side to estimate, and the other one.
_ORDER: tuple[tuple[Side, Side], ...] = (("movie", "user"), ("user", "movie"))

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Penalty:
    """The pull of each row to zero, beside the sum of squared errors.

        embedding * sqrt(n) * |row|^2        bias * row^2

    with n the row's ratings. A bias's pull is the noise's variance over the biases': that of the closed form.

    Attributes:
        embedding: Strength for vectors, in standardized ratings.
        bias: Strength for single numbers, by side, in ratings.
        is_constant: Whether vectors are pulled by `embedding * n * |row|^2` and biases not at all, as up to 0.2.0.
    """

    embedding: float
    bias: Mapping[Side, float]
    is_constant: bool = False

    def weights(self, model: type[CollaborativeFiltering], counts: RowCounts) -> dict[str, npt.NDArray[np.float32]]:
        """Return the penalty's weight for each rating of a row, by table, shape (rows,); 0 without a rating."""
        return {table.name: self._of(table, getattr(counts, table.side)) for table in model.TABLES}

    def _of(self, table: Table, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        rated = np.maximum(counts, 1)
        if self.is_constant:
            weights = np.full(len(counts), self.embedding if table.width is None else 0.0)
        elif table.width is None:
            weights = self.embedding / np.sqrt(rated)
        else:
            weights = self.bias[table.side] / rated
        return np.where(counts > 0, weights, 0.0).astype(np.float32)


@dataclass(frozen=True, eq=False)
class BiasEstimate:
    """Biases in closed form.

    Attributes:
        level: What a rating is without biases, standardized.
        biases: By side, float64, shape (rows,); 0 without a rating.
        pull: Variance of the noise over that of the biases, by side, in ratings.
    """

    level: float
    biases: dict[Side, Floats]
    pull: dict[Side, float]


def estimate_biases(train: RatingArrays, counts: RowCounts) -> BiasEstimate:
    """Estimate biases and their strengths from standardized training ratings.

    Ratings that are not finite are left out; if none is finite, biases and level are 0.

    Args:
        train: The N training ratings, standardized, at least one.
        counts: Ratings of each row.
    """
    if not np.isfinite(train.rating.sum(dtype=np.float64)):
        train = train[np.flatnonzero(np.isfinite(train.rating))]
        counts = RowCounts.of(train, num_users=len(counts.user), num_movies=len(counts.movie))
    rows: dict[Side, Any] = {"user": train.user_idx, "movie": train.movie_idx}
    rated: dict[Side, Any] = counts._asdict()  # type: ignore[assignment]
    biases: dict[Side, Floats] = {side: np.zeros(len(rated[side])) for side in SIDES}
    spread: dict[Side, float] = dict.fromkeys(SIDES, 0.2)
    noise, level = 0.6, float(train.rating.mean(dtype=np.float64)) if len(train) else 0.0
    for _ in range(_SWEEPS if len(train) else 0):
        before, unknown = np.array([noise, *spread.values()]), 0.0
        # Movies first: they have the most ratings, and a user who rates acclaimed movies is not a generous one.
        for side, other in _ORDER:
            sums = np.zeros(len(rated[side]))
            _add_residuals(rows[side], rows[other], train.rating, level, biases[other], sums)
            variance = 1 / (1 / spread[side] + rated[side] / noise)
            known = rated[side] > 0
            # At the best level the biases of a side have mean 0 over its rows.
            biases[side] = variance / noise * sums
            shift = float(biases[side][known].mean())
            biases[side], level = np.where(known, biases[side] - shift, 0.0), level + shift
            spread[side] = max(float((biases[side] ** 2 + variance)[known].mean()), noise / _STRONGEST)
            unknown += float(variance @ rated[side])
        squares, total = _errors(rows["user"], rows["movie"], train.rating, level, biases["user"], biases["movie"])
        level += total / len(train)
        noise = max((squares + unknown) / len(train) - (total / len(train)) ** 2, _LEAST_NOISE)
        if np.abs(np.array([noise, *spread.values()]) / before - 1).max() < _CONVERGED:
            break
    return BiasEstimate(level, biases, {side: noise / spread[side] for side in SIDES})


@compiled(fastmath=FAST)
def _add_residuals(rows: Any, others: Any, rating: Any, level: float, biases: Any, sums: Any) -> None:
    """Add up each row's ratings less level and the other side's biases."""
    for at in range(len(rows)):
        sums[rows[at]] += rating[at] - level - biases[others[at]]


@compiled(fastmath=FAST)
def _errors(user: Any, movie: Any, rating: Any, level: float, of_users: Any, of_movies: Any) -> tuple[float, float]:
    """Return the sum of squared errors, and the sum of errors."""
    squares, total = 0.0, 0.0
    for at in range(len(rating)):
        error = rating[at] - level - of_users[user[at]] - of_movies[movie[at]]
        squares, total = squares + error * error, total + error
    return squares, total
