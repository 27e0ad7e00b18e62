"""Errors by slice: warm and cold, by popularity of the movie, and by true rating."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.evaluation.accuracy import Accuracy, Floats

#: Number of groups of movies of equal size, by training ratings.
_DECILES = 10

#: Up to this many distinct true ratings are a level each; if there are more, they are put into this many bins.
_MAX_LEVELS = 20

#: Shares at which quantiles of the predictions are kept, the median in the middle.
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

#: Number of bins of the predictions, over the training range.
_PREDICTION_BINS = 50


@dataclass(frozen=True, eq=False)
class ErrorByPopularity:
    """Errors by how often the movie was rated in training, with one group per element.

    Group 0 holds the cold movies, groups 1 to 10 the deciles of the catalogue, rarest first: movies
    are sorted by training ratings, then by row, and divided into ten groups of equal size.

    Attributes:
        decile: 0 to 10, int64, shape (11,).
        lowest_count: Fewest training ratings of a movie in the group, int64, shape (11,); 0 if it is empty.
        highest_count: Most training ratings of a movie in the group, int64, shape (11,); 0 if it is empty.
        rows: Number of test ratings of the group's movies, int64, shape (11,).
        rmse: Their RMSE, in rating units, shape (11,); NaN if there are none.
        mae: Their MAE, in rating units, shape (11,); NaN if there are none.
        mean_error: Mean of prediction minus rating, in rating units, shape (11,); NaN if there are none.
    """

    decile: npt.NDArray[np.int64]
    lowest_count: npt.NDArray[np.int64]
    highest_count: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    rmse: npt.NDArray[np.float64]
    mae: npt.NDArray[np.float64]
    mean_error: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PredictedAgainstTrue:
    """Distribution of the predictions at each level of the true rating.

    Attributes:
        levels: True ratings, in rating units, rising, shape (L,); centres of bins if there are more than 20.
        rows: Number of test ratings at each level, int64, shape (L,).
        quantile_shares: Shares of the predictions below each quantile, shape (Q,).
        quantiles: Predictions at those shares, in rating units, shape (L, Q); NaN if a level is empty.
        prediction_edges: Edges of the predictions' bins, in rating units, shape (P + 1,).
        histogram: Number of test ratings by level and bin of the prediction, int64, shape (L, P).
    """

    levels: npt.NDArray[np.float64]
    rows: npt.NDArray[np.int64]
    quantile_shares: npt.NDArray[np.float64]
    quantiles: npt.NDArray[np.float64]
    prediction_edges: npt.NDArray[np.float64]
    histogram: npt.NDArray[np.int64]


def warmth_metrics(test: RatingArrays, predictions: Floats) -> dict[str, float]:
    """Return rows, RMSE and MAE of four slices that together hold every test row once.

    `warm`: user and movie known; `cold_user` and `cold_movie`: only that one unknown; `cold_both`:
    both unknown. A slice without rows has its rows, 0, and no errors.
    """
    user, movie = test.user_idx >= 0, test.movie_idx >= 0
    slices = {
        "warm": user & movie,
        "cold_user": ~user & movie,
        "cold_movie": user & ~movie,
        "cold_both": ~user & ~movie,
    }
    metrics: dict[str, float] = {}
    for name, rows in slices.items():
        metrics |= Accuracy.of(predictions[rows], test.rating[rows]).metrics(name)
    return metrics


def error_by_popularity(test: RatingArrays, predictions: Floats, *, counts: npt.NDArray[np.int64]) -> ErrorByPopularity:
    """Return the test errors by popularity of the movie.

    Args:
        test: Test ratings, N of them.
        predictions: Predictions for them, in rating units, shape (N,).
        counts: Training ratings of each movie, shape (M,).
    """
    order = np.argsort(counts, kind="stable")
    group_of_movie = np.empty(len(counts), np.int64)
    group_of_movie[order] = np.arange(len(counts)) * _DECILES // max(1, len(counts)) + 1
    group = np.where(test.movie_idx >= 0, group_of_movie[np.maximum(test.movie_idx, 0)], 0)
    lowest, highest = _count_range(counts[order], group_of_movie[order])
    error = predictions.astype(np.float64) - test.rating
    rows = np.bincount(group, minlength=_DECILES + 1)
    return ErrorByPopularity(
        decile=np.arange(_DECILES + 1),
        lowest_count=lowest,
        highest_count=highest,
        rows=rows,
        rmse=np.sqrt(_mean_by(group, np.square(error), rows)),
        mae=_mean_by(group, np.abs(error), rows),
        mean_error=_mean_by(group, error, rows),
    )


def predicted_against_true(
    ratings: Floats, predictions: Floats, *, rating_min: float, rating_max: float
) -> PredictedAgainstTrue:
    """Return the distribution of the predictions by true rating.

    Args:
        ratings: True ratings, in rating units, shape (N,).
        predictions: Predictions within [rating_min, rating_max], shape (N,).
        rating_min: Lowest training rating.
        rating_max: Highest training rating.
    """
    levels, level = _levels(ratings.astype(np.float64))
    edges = np.linspace(rating_min, rating_max, _PREDICTION_BINS + 1)
    bins = np.clip(np.searchsorted(edges, predictions, side="right") - 1, 0, _PREDICTION_BINS - 1)
    cells = np.bincount(level * _PREDICTION_BINS + bins, minlength=len(levels) * _PREDICTION_BINS)
    return PredictedAgainstTrue(
        levels=levels,
        rows=np.bincount(level, minlength=len(levels)),
        quantile_shares=np.array(_QUANTILES),
        quantiles=np.stack([_quantiles(predictions[level == number]) for number in range(len(levels))]),
        prediction_edges=edges,
        histogram=cells.reshape(len(levels), _PREDICTION_BINS),
    )


def _levels(ratings: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    distinct, level = np.unique(ratings, return_inverse=True)
    if len(distinct) <= _MAX_LEVELS:
        return distinct, level.astype(np.int64)
    edges = np.linspace(distinct[0], distinct[-1], _MAX_LEVELS + 1)
    level = np.clip(np.searchsorted(edges, ratings, side="right") - 1, 0, _MAX_LEVELS - 1)
    return (edges[:-1] + edges[1:]) / 2, level.astype(np.int64)


def _quantiles(predictions: Floats) -> npt.NDArray[np.float64]:
    if not len(predictions):
        return np.full(len(_QUANTILES), np.nan)
    return np.quantile(predictions.astype(np.float64), _QUANTILES)


def _mean_by(
    group: npt.NDArray[np.int64], values: npt.NDArray[np.float64], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    sums = np.bincount(group, weights=values, minlength=len(rows))
    means: npt.NDArray[np.float64] = np.divide(sums, rows, out=np.full(len(rows), np.nan), where=rows > 0)
    return means


def _count_range(
    counts: npt.NDArray[np.int64], groups: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first and last of rising counts in each of the rising groups; 0 for an empty group."""
    numbers = np.arange(_DECILES + 1)
    first, after = (np.searchsorted(groups, numbers, side=side) for side in ("left", "right"))
    padded = np.append(counts, 0)
    filled = after > first
    return np.where(filled, padded[first], 0), np.where(filled, padded[after - 1], 0)
