"""Errors of the baselines on the test rows, and the model's lift over them."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from cfmodel.baselines import DAMPING_MOVIE, DAMPING_USER, fit_damped_biases
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.evaluation.accuracy import Accuracy, Floats


def baseline_predictions(
    trained: RatingArrays, test: RatingArrays, *, num_users: int, num_movies: int, rating_min: float, rating_max: float
) -> dict[str, npt.NDArray[np.float64]]:
    """Predict the test ratings by the global mean and by damped biases, clamped like the model's.

    Args:
        trained: Ratings to fit on; those whose user or movie the model does not know are ignored.
        test: Ratings to predict, N of them; users and movies may be cold.
        num_users: Users, U.
        num_movies: Movies, M.
        rating_min: Lowest prediction, in rating units.
        rating_max: Highest prediction, in rating units.

    Returns:
        Predictions in rating units, each of shape (N,), under `global_mean` and `damped_bias`.

    Raises:
        DataError: There are no ratings to fit on.
    """
    biases = fit_damped_biases(
        _warm(trained), num_users, num_movies, damping_user=DAMPING_USER, damping_movie=DAMPING_MOVIE
    )
    damped = biases.score(test.user_idx, test.movie_idx)
    return {
        "global_mean": np.full(len(test), biases.global_mean),
        "damped_bias": np.clip(damped, rating_min, rating_max),
    }


def baseline_metrics(rmse: float, baselines: Mapping[str, Floats], ratings: Floats) -> dict[str, float]:
    """Return `test/NAME_rmse`, `test/NAME_mae` and `test/lift_over_NAME_fraction` for each baseline.

    Args:
        rmse: The model's RMSE on the same rows.
        baselines: Predictions by name, each of shape (N,).
        ratings: True ratings, in rating units, shape (N,), N at least 1.
    """
    metrics: dict[str, float] = {}
    for name, predictions in baselines.items():
        errors = Accuracy.of(predictions, ratings).errors()
        metrics |= {f"test/{name}_{key}": value for key, value in errors.items()}
    for name in baselines:
        share = lift(rmse, metrics[f"test/{name}_rmse"], lower_is_better=True)
        if share is not None:
            metrics[f"test/lift_over_{name}_fraction"] = share
    return metrics


def lift(metric: float, baseline: float, *, lower_is_better: bool) -> float | None:
    """Return by which fraction a metric is better than a baseline's; None if the baseline's is 0.

    1 - metric / baseline if lower is better (RMSE), metric / baseline - 1 if higher is better (nDCG).
    """
    if baseline == 0:
        return None
    return 1 - metric / baseline if lower_is_better else metric / baseline - 1


def _warm(ratings: RatingArrays) -> RatingArrays:
    """Return the ratings whose user and movie the model knows: newer training ratings may have others."""
    warm = (ratings.user_idx >= 0) & (ratings.movie_idx >= 0)
    if warm.all():
        return ratings
    return RatingArrays(ratings.user_idx[warm], ratings.movie_idx[warm], ratings.rating[warm])
