"""Errors by slice, by popularity and by true rating."""

import numpy as np
import pytest

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.evaluation.slices import error_by_popularity, predicted_against_true, warmth_metrics


def ratings(users: list[int], movies: list[int], values: list[float]) -> RatingArrays:
    return RatingArrays(np.array(users, np.int32), np.array(movies, np.int32), np.array(values, np.float32))


def test_the_four_slices_hold_every_row_once_and_an_empty_slice_has_no_error() -> None:
    test = ratings([0, 1, -1, 0, 0], [0, 1, 0, -1, -1], [4, 2, 5, 1, 3])
    metrics = warmth_metrics(test, np.array([3.0, 2.0, 3.0, 1.0, 1.0]))
    assert metrics == {
        "test/rows_warm": 2.0,
        "test/rmse_warm": pytest.approx(0.5**0.5),
        "test/mae_warm": 0.5,
        "test/rows_cold_user": 1.0,
        "test/rmse_cold_user": 2.0,
        "test/mae_cold_user": 2.0,
        "test/rows_cold_movie": 2.0,
        "test/rmse_cold_movie": pytest.approx(2**0.5),
        "test/mae_cold_movie": 1.0,
        "test/rows_cold_both": 0.0,
    }


def test_movies_are_divided_into_ten_groups_of_equal_size_by_training_ratings() -> None:
    counts = np.arange(20, 0, -1)  # movie 19 is the rarest
    test = ratings([0, 0, 0, 0], [19, 18, 0, -1], [3, 3, 3, 3])
    by = error_by_popularity(test, np.array([4.0, 2.0, 5.0, 3.5]), counts=counts)
    assert by.decile.tolist() == list(range(11))
    assert by.rows.tolist() == [1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert by.lowest_count.tolist() == [0, *range(1, 20, 2)]
    assert by.highest_count.tolist() == [0, *range(2, 21, 2)]
    assert by.rmse[[0, 1, 10]].tolist() == [0.5, 1.0, 2.0]
    assert by.mean_error[[0, 1, 10]].tolist() == [0.5, 0.0, 2.0]
    assert np.isnan(by.mae[2])


def test_fewer_than_ten_movies_leave_groups_empty() -> None:
    by = error_by_popularity(ratings([0], [1], [3]), np.array([3.0]), counts=np.array([5, 7]))
    assert by.highest_count.tolist() == [0, 5, 0, 0, 0, 0, 7, 0, 0, 0, 0]
    assert by.rows.sum() == 1


def test_each_true_rating_is_a_level_with_the_quantiles_of_its_predictions() -> None:
    truth = np.array([1.0, 5.0, 5.0, 5.0])
    against = predicted_against_true(truth, np.array([1.0, 3.0, 4.0, 5.0]), rating_min=1.0, rating_max=5.0)
    assert against.levels.tolist() == [1.0, 5.0]
    assert against.rows.tolist() == [1, 3]
    assert against.quantiles[:, 2].tolist() == [1.0, 4.0]
    assert against.histogram.sum(axis=1).tolist() == [1, 3]
    assert against.histogram[0, 0] == 1
    assert against.histogram[1, -1] == 1
    assert against.histogram.shape == (2, len(against.prediction_edges) - 1)


def test_continuous_ratings_are_put_into_bins() -> None:
    truth = np.linspace(0.5, 5, 1000)
    against = predicted_against_true(truth, truth, rating_min=0.5, rating_max=5.0)
    assert len(against.levels) == 20
    assert against.rows.sum() == 1000
    np.testing.assert_allclose(against.quantiles[:, 2], against.levels, atol=0.01)
