"""Confidence interval of a difference in RMSE, by a paired bootstrap over users."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cfmodel.errors import ConfigError, DataError

_Floats = npt.NDArray[np.floating[Any]]

#: Users drawn at once, over all resamples of a block: 8 MB of sums.
_BLOCK_DRAWS = 2**20


@dataclass(frozen=True)
class Difference:
    """The RMSE of one predictor less that of another, on the same rows.

    Attributes:
        rmse: Of the first predictor, in rating units.
        other_rmse: Of the other predictor, in rating units.
        low: Lower end of the interval of `rmse - other_rmse`, in rating units.
        high: Upper end, likewise.
        confidence: Share of such intervals that hold the true difference.
    """

    rmse: float
    other_rmse: float
    low: float
    high: float
    confidence: float

    @property
    def difference(self) -> float:
        """`rmse - other_rmse`, in rating units; below 0 if the first predictor is better."""
        return self.rmse - self.other_rmse

    @property
    def is_better(self) -> bool:
        """Whether the whole interval is below 0: better, and not by chance."""
        return self.high < 0


def paired_bootstrap(
    user: npt.NDArray[np.integer[Any]],
    error: _Floats,
    other_error: _Floats,
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> Difference:
    """Compare two predictors' errors on the same rows by drawing users with replacement.

    A user's ratings are not independent, so whole users are drawn with all their rows: as many users as
    there are, the same for both predictors. The interval lies between the quantiles
    (1 - confidence) / 2 and (1 + confidence) / 2 of the differences over all resamples.

    Args:
        user: Number of each row's user, shape (N,).
        error: Prediction less rating of the first predictor, in rating units, shape (N,).
        other_error: The same of the other predictor, shape (N,).
        confidence: Share of such intervals that hold the true difference, in (0, 1).

    Raises:
        ConfigError: There are no resamples, or the confidence is not between 0 and 1.
        DataError: There are no rows.

    Source: Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 8 and 13; users as
    clusters: Field & Welsh, "Bootstrapping clustered data" (2007).
    """
    if resamples < 1 or not 0 < confidence < 1:
        raise ConfigError(
            f"a bootstrap needs 1 resample or more, not {resamples}, and a confidence between 0 and 1, not {confidence}"
        )
    if not len(user):
        raise DataError("two models cannot be compared on 0 rows; give ratings that neither was trained on")
    sums = _sums_by_user(user, error, other_error)
    differences = _differences(sums, resamples, np.random.default_rng(seed))
    low, high = np.quantile(differences, [(1 - confidence) / 2, (1 + confidence) / 2])
    rmse, other = _rmse(sums.sum(axis=0))
    return Difference(float(rmse), float(other), float(low), float(high), confidence)


def _sums_by_user(user: npt.NDArray[np.integer[Any]], error: _Floats, other_error: _Floats) -> npt.NDArray[np.float64]:
    """Return the number of rows and both sums of squared errors of each user, shape (V, 3)."""
    _, position = np.unique(user, return_inverse=True)
    squares = [np.square(errors, dtype=np.float64) for errors in (error, other_error)]
    return np.stack([np.bincount(position), *(np.bincount(position, weights=square) for square in squares)], axis=1)


def _differences(
    sums: npt.NDArray[np.float64], resamples: int, generator: np.random.Generator
) -> npt.NDArray[np.float64]:
    users = len(sums)
    block = max(1, _BLOCK_DRAWS // users)
    found = []
    for start in range(0, resamples, block):
        drawn = generator.integers(0, users, (min(block, resamples - start), users), dtype=np.int32)
        # One column at a time: gathering rows of three would be as slow and take three times the memory.
        totals = np.stack([np.take(column, drawn).sum(axis=1) for column in sums.T], axis=1)
        rmse, other = _rmse(totals)
        found.append(rmse - other)
    return np.concatenate(found)


def _rmse(totals: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return both RMSEs from totals of rows and squared errors, shape (..., 3)."""
    return np.sqrt(totals[..., 1] / totals[..., 0]), np.sqrt(totals[..., 2] / totals[..., 0])
