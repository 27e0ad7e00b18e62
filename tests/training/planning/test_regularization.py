"""The default weight of the penalty."""

from collections.abc import Callable

import numpy as np
import pytest

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.training.fit import FitResult
from cfmodel.training.planning.regularization import STRENGTH, default_regularization


def ratings_of(user: list[int], movie: list[int], rating: list[float]) -> RatingArrays:
    return RatingArrays(np.array(user, np.int32), np.array(movie, np.int32), np.array(rating, np.float32))


def test_the_default_worked_by_hand() -> None:
    # Users rate 1, 1 and 2 times: (1 + 1 + 2 + 2) / 4 = 1.5 over the ratings. Movies: all four are of one.
    ratings = ratings_of([0, 1, 2, 2], [3, 3, 3, 3], [2, 4, 2, 4])
    assert default_regularization(ratings) == pytest.approx(STRENGTH * (1 / 1.5 + 1 / 4) ** 0.5)


def test_the_default_does_not_depend_on_the_scale_of_the_ratings() -> None:
    user, movie, rating = [0, 1, 0, 1, 2], [0, 0, 1, 1, 1], np.array([1.0, 2, 5, 3, 4])
    stars, percent = (ratings_of(user, movie, list(scale * rating)) for scale in (1, 20))
    assert default_regularization(percent) == default_regularization(stars)


def test_four_times_the_ratings_of_everybody_halve_the_default() -> None:
    once = ratings_of([0, 1, 0], [0, 0, 1], [1, 2, 3])
    often = ratings_of([0, 1, 0] * 4, [0, 0, 1] * 4, [1, 2, 3] * 4)
    assert default_regularization(often) == pytest.approx(default_regularization(once) / 2)


def test_a_stronger_penalty_keeps_embeddings_smaller(fitted: Callable[..., FitResult]) -> None:
    weak, strong = (fitted(regularization=weight, epochs=5, val=False) for weight in (0.01, 0.3))
    for table in ("user_embeddings", "movie_embeddings"):
        sizes = [float(result.model.get_submodule(table).weight.detach().norm()) for result in (weak, strong)]
        assert sizes[1] < 0.7 * sizes[0]


def test_a_penalty_in_the_settings_is_used_and_returned(fitted: Callable[..., FitResult]) -> None:
    assert fitted(regularization=0.25, epochs=1).regularization == 0.25
