"""Statistics of columns, compared with numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfmodel.column_statistics import RatingScale, occurrences, standard_deviation


@settings(deadline=None)
@given(st.lists(st.integers(-1, 20), max_size=50))
def test_rows_are_counted_as_numpy_counts_them(rows: list[int]) -> None:
    given = np.array(rows, np.int32)
    assert occurrences(given).tolist() == np.bincount(given[given >= 0]).tolist()


@settings(deadline=None)
@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=200), st.sampled_from([0.0, 5.0, 1e6]))
def test_the_standard_deviation_is_that_of_numpy(values: list[float], shift: float) -> None:
    given = np.array(values, np.float32) + np.float32(shift)
    assert standard_deviation(given) == pytest.approx(np.std(given, dtype=np.float64), rel=1e-6, abs=1e-6)


def test_values_that_are_not_finite_give_nan() -> None:
    for values in ([1, np.nan, 2], [np.nan, 1, 2], [np.nan], [1, np.inf]):
        assert np.isnan(standard_deviation(np.array(values, np.float32))), values


@pytest.mark.parametrize("factor", [1e-200, 1e-3, 1.0, 1e200])
def test_the_standard_deviation_follows_the_unit_without_overflow(factor: float) -> None:
    values = np.array([1.0, 4, 2.5, 5])
    assert standard_deviation(factor * values) == pytest.approx(factor * np.std(values), rel=1e-14)


def test_standardized_ratings_have_mean_0_and_standard_deviation_1_far_from_zero() -> None:
    ratings = 1e6 + 1e-3 * np.random.default_rng(0).standard_normal(1000)
    scale = RatingScale.of(ratings)
    standardized = scale.standardized(ratings)
    assert standardized.dtype == np.float32
    assert np.mean(standardized, dtype=np.float64) == pytest.approx(0, abs=1e-6)
    assert np.std(standardized, dtype=np.float64) == pytest.approx(1, abs=1e-6)
    assert scale.in_rating_units(standardized[3]) == pytest.approx(ratings[3], abs=1e-9, rel=0)


def test_ratings_are_subtracted_in_float64_whatever_their_type() -> None:
    ratings = np.array([1.0, 4, 2.5, 5], np.float32)
    scale = RatingScale(mean=1e-9, std=3.0)
    exact = (ratings.astype(np.float64) - scale.mean) / scale.std
    assert scale.standardized(ratings).tolist() == exact.astype(np.float32).tolist()


@pytest.mark.parametrize("rating", [3.0, 0.1, 1e6 + 0.1, 0.0])
def test_equal_ratings_have_the_standard_deviation_1_and_are_zero(rating: float) -> None:
    ratings = np.full(1000, rating)
    scale = RatingScale.of(ratings)
    assert scale.std == 1.0
    np.testing.assert_allclose(scale.standardized(ratings), 0, atol=1e-7)


@pytest.mark.parametrize(("std", "decimals"), [(1.0, 4), (20.0, 3), (1e-3, 7), (1e5, 0)])
def test_a_ten_thousandth_of_a_standard_deviation_is_shown(std: float, decimals: int) -> None:
    assert RatingScale(std=std).decimals == decimals
