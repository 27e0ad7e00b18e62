"""Baselines: damped biases and popularity."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cfmodel.baselines import damped_bias, fit_damped_biases, popularity
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import ConfigError, DataError


def ratings(users: list[int], movies: list[int], values: list[float]) -> RatingArrays:
    return RatingArrays(np.array(users, np.int32), np.array(movies, np.int32), np.array(values, np.float32))


def bias_of(residual: list[float], index: list[int], num_rows: int, *, damping: float) -> torch.Tensor:
    rows = torch.tensor(index, dtype=torch.int64)
    sums = torch.bincount(rows, weights=torch.tensor(residual, dtype=torch.float64), minlength=num_rows)
    return damped_bias(sums, torch.bincount(rows, minlength=num_rows), damping=damping)


def test_a_bias_is_the_sum_of_residuals_over_ratings_and_damping() -> None:
    assert bias_of([1.0, 2.0, -1.0], [0, 0, 2], 4, damping=1.0).tolist() == [1.0, 0.0, -0.5, 0.0]


def test_without_damping_a_bias_is_the_plain_mean_and_a_row_without_ratings_has_none() -> None:
    assert bias_of([1.0, 2.0], [1, 1], 2, damping=0.0).tolist() == [0.0, 1.5]


def test_negative_damping_is_refused() -> None:
    with pytest.raises(ConfigError, match="damping must be 0 or more"):
        bias_of([1.0], [0], 1, damping=-0.5)


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(-3, 3)), max_size=40), st.floats(0, 30))
def test_damping_only_shrinks(pairs: list[tuple[int, float]], damping: float) -> None:
    index, residual = [row for row, _ in pairs], [value for _, value in pairs]
    plain, damped = (bias_of(residual, index, 5, damping=weight) for weight in (0.0, damping))
    assert (damped.abs() <= plain.abs() + 1e-12).all()
    assert (damped * plain >= 0).all()


def test_user_biases_are_fitted_to_the_residuals_of_movie_biases() -> None:
    # Mean 3. Movie 0: (2 + 1) / (2 + 1) = 1; movie 1: -3 / (1 + 1) = -1.5.
    # User 0: residuals 5 - 3 - 1 = 1 and 0 - 3 + 1.5 = -1.5, so -0.5 / (2 + 2); user 1: 0.
    fitted = fit_damped_biases(ratings([0, 1, 0], [0, 0, 1], [5, 4, 0]), 2, 2, damping_user=2.0, damping_movie=1.0)
    assert fitted.global_mean == 3.0
    assert fitted.movie_biases.tolist() == [1.0, -1.5]
    assert fitted.user_biases.tolist() == [-0.125, 0.0]


def test_the_size_of_a_block_does_not_change_the_biases(monkeypatch: pytest.MonkeyPatch) -> None:
    some = ratings([0, 1, 0, 2, 2], [0, 0, 1, 1, 2], [5, 4, 0, 2, 3])
    whole = fit_damped_biases(some, 4, 3, damping_user=2.0, damping_movie=1.0)
    monkeypatch.setattr("cfmodel.baselines._BLOCK", 2)
    pieces = fit_damped_biases(some, 4, 3, damping_user=2.0, damping_movie=1.0)
    assert pieces.movie_biases == pytest.approx(whole.movie_biases)
    assert pieces.user_biases == pytest.approx(whole.user_biases)


def test_an_unknown_user_or_movie_has_no_bias() -> None:
    fitted = fit_damped_biases(ratings([0, 1, 0], [0, 0, 1], [5, 4, 0]), 2, 2, damping_user=2.0, damping_movie=1.0)
    scores = fitted.score(np.array([0, -1, 0, -1], np.int32), np.array([0, 0, -1, -1], np.int32))
    assert scores.tolist() == [3.875, 4.0, 2.875, 3.0]


def test_ratings_of_unknown_rows_cannot_be_fitted() -> None:
    with pytest.raises(DataError, match="1 of 2 training ratings"):
        fit_damped_biases(ratings([0, -1], [0, 0], [3, 4]), 1, 1, damping_user=1.0, damping_movie=1.0)


def test_no_ratings_cannot_be_fitted() -> None:
    with pytest.raises(DataError, match="0 ratings"):
        fit_damped_biases(ratings([], [], []), 1, 1, damping_user=1.0, damping_movie=1.0)


def test_popularity_counts_ratings_of_known_movies() -> None:
    assert popularity(ratings([0, 1, 1, 0], [2, 2, 0, -1], [1, 1, 1, 1]), 4).tolist() == [1, 0, 2, 0]
