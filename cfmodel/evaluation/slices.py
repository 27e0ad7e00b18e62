"""The same errors in parts: warm and cold, by popularity of the movie, by true rating."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.evaluation.accuracy import Accuracy, Floats

#: Groups of movies of equal size, by training ratings.
DECILES = 10

#: Up to so many distinct true ratings are each a level of their own; more are put into so many bins.
MAX_LEVELS = 20

#: Shares of the predictions below each kept value, the median in the middle.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

#: Bins of the predictions, over the training range.
PREDICTION_BINS = 50


@dataclass(frozen=True, eq=False)
class ErrorByPopularity:
    """Errors by how often the movie was rated in training; one group per element.

    Group 0 holds the cold movies, groups 1 to 10 the deciles of the catalogue, rarest first: movies
    are ordered by training ratings, those with as many by row, and cut into ten of equal size.

    Attributes:
        decile: 0 to 10, int64, shape (11,).
        lowest_count: Fewest training ratings of a movie in the group, int64, shape (11,); 0 where it is empty.
        highest_count: Most training ratings of a movie in the group, likewise.
        rows: Test ratings of the group's movies, int64, shape (11,).
        rmse: Their RMSE, in rating units, shape (11,); NaN where there are none.
        mae: Their MAE, likewise.
        mean_error: Mean of prediction less rating, in rating units, likewise; above 0 flatters the movies.
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
    """Where predictions fall at each level of the true rating.

    Attributes:
        levels: True ratings, in rating units, rising, shape (L,); centres of bins if more than 20 occur.
        rows: Test ratings at each level, int64, shape (L,).
        quantile_shares: Shares of the predictions below each quantile, shape (Q,).
        quantiles: Predictions at those shares, in rating units, shape (L, Q); NaN where a level is empty.
        prediction_edges: Edges of the predictions' bins, in rating units, shape (P + 1,).
        histogram: Test ratings by level and bin of the prediction, int64, shape (L, P).
    """

    levels: npt.NDArray[np.float64]
    rows: npt.NDArray[np.int64]
    quantile_shares: npt.NDArray[np.float64]
    quantiles: npt.NDArray[np.float64]
    prediction_edges: npt.NDArray[np.float64]
    histogram: npt.NDArray[np.int64]


def warmth_metrics(test: RatingArrays, predictions: Floats) -> dict[str, float]:
    """Return rows, RMSE and MAE of four slices that together hold every test row once.

    `warm`: both sides known; `cold_user` and `cold_movie`: that side alone unknown; `cold_both`.
    A slice without rows has its rows, 0, and nothing else.
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
    """Break the test errors down by popularity of the movie.

    Args:
        test: Test ratings, N of them.
        predictions: Predictions for them, in rating units, shape (N,).
        counts: Training ratings of each movie, shape (M,).
    """
    order = np.argsort(counts, kind="stable")
    group_of_movie = np.empty(len(counts), np.int64)
    group_of_movie[order] = np.arange(len(counts)) * DECILES // max(1, len(counts)) + 1
    group = np.where(test.movie_idx >= 0, group_of_movie[np.maximum(test.movie_idx, 0)], 0)
    lowest, highest = _count_range(counts[order], group_of_movie[order])
    error = predictions.astype(np.float64) - test.rating
    rows = np.bincount(group, minlength=DECILES + 1)
    return ErrorByPopularity(
        decile=np.arange(DECILES + 1),
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
    """Sort predictions by the true rating they were made for.

    Args:
        ratings: True ratings, in rating units, shape (N,).
        predictions: Predictions within [rating_min, rating_max], shape (N,).
        rating_min: Lowest training rating.
        rating_max: Highest training rating.
    """
    levels, level = _levels(ratings.astype(np.float64))
    edges = np.linspace(rating_min, rating_max, PREDICTION_BINS + 1)
    bins = np.clip(np.searchsorted(edges, predictions, side="right") - 1, 0, PREDICTION_BINS - 1)
    cells = np.bincount(level * PREDICTION_BINS + bins, minlength=len(levels) * PREDICTION_BINS)
    return PredictedAgainstTrue(
        levels=levels,
        rows=np.bincount(level, minlength=len(levels)),
        quantile_shares=np.array(QUANTILES),
        quantiles=np.stack([_quantiles(predictions[level == number]) for number in range(len(levels))]),
        prediction_edges=edges,
        histogram=cells.reshape(len(levels), PREDICTION_BINS),
    )


def _levels(ratings: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    distinct, level = np.unique(ratings, return_inverse=True)
    if len(distinct) <= MAX_LEVELS:
        return distinct, level.astype(np.int64)
    edges = np.linspace(distinct[0], distinct[-1], MAX_LEVELS + 1)
    level = np.clip(np.searchsorted(edges, ratings, side="right") - 1, 0, MAX_LEVELS - 1)
    return (edges[:-1] + edges[1:]) / 2, level.astype(np.int64)


def _quantiles(predictions: Floats) -> npt.NDArray[np.float64]:
    if not len(predictions):
        return np.full(len(QUANTILES), np.nan)
    return np.quantile(predictions.astype(np.float64), QUANTILES)


def _mean_by(
    group: npt.NDArray[np.int64], values: npt.NDArray[np.float64], rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    sums = np.bincount(group, weights=values, minlength=len(rows))
    means: npt.NDArray[np.float64] = np.divide(sums, rows, out=np.full(len(rows), np.nan), where=rows > 0)
    return means


def _count_range(
    counts: npt.NDArray[np.int64], groups: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first and last of rising counts in each of the rising groups, 0 where one is empty."""
    numbers = np.arange(DECILES + 1)
    first, after = (np.searchsorted(groups, numbers, side=side) for side in ("left", "right"))
    padded = np.append(counts, 0)
    filled = after > first
    return np.where(filled, padded[first], 0), np.where(filled, padded[after - 1], 0)
