"""What simpler predictors reach on the same rows, and by how much the model beats them."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from cfmodel.baselines import DAMPING_MOVIE, DAMPING_USER, fit_damped_biases
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.evaluation.accuracy import Accuracy, Floats


def floor_predictions(
    trained: RatingArrays, test: RatingArrays, *, num_users: int, num_movies: int, rating_min: float, rating_max: float
) -> dict[str, npt.NDArray[np.float64]]:
    """Predict the test ratings by the global mean and by damped biases, clamped like the model's.

    Args:
        trained: Ratings to fit on; those with a side the model does not know are left out.
        test: Ratings to predict, N of them, either side possibly cold.
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


def floor_metrics(rmse: float, floors: Mapping[str, Floats], ratings: Floats) -> dict[str, float]:
    """Return `test/FLOOR_rmse`, `test/FLOOR_mae` and `test/lift_over_FLOOR_fraction` for each floor.

    Args:
        rmse: The model's, on the same rows.
        floors: Predictions by name, each of shape (N,).
        ratings: True ratings, in rating units, shape (N,), N at least 1.
    """
    metrics: dict[str, float] = {}
    for name, predictions in floors.items():
        floor = Accuracy.of(predictions, ratings)
        metrics |= {f"test/{name}_{key}": value for key, value in floor.errors().items()}
    for name in floors:
        share = lift(rmse, metrics[f"test/{name}_rmse"], lower_is_better=True)
        if share is not None:
            metrics[f"test/lift_over_{name}_fraction"] = share
    return metrics


def lift(metric: float, floor: float, *, lower_is_better: bool) -> float | None:
    """Return the share by which a metric beats a floor, positive where it does; None where the floor is 0.

    1 - metric / floor where lower is better (RMSE), metric / floor - 1 where higher is (nDCG).
    """
    if floor == 0:
        return None
    return 1 - metric / floor if lower_is_better else metric / floor - 1


def _warm(ratings: RatingArrays) -> RatingArrays:
    """Leave out what an older model does not know of newer training ratings."""
    warm = (ratings.user_idx >= 0) & (ratings.movie_idx >= 0)
    if warm.all():
        return ratings
    return RatingArrays(ratings.user_idx[warm], ratings.movie_idx[warm], ratings.rating[warm])
