"""Quantiles of sizes: what holds whatever the sizes are."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfmodel.gradients.recording.gradient_records import QUANTILES
from cfmodel.gradients.statistics.quantiles import places_among, quantiles

SIZES = st.lists(st.floats(0, 2.0**100, width=32), min_size=1, max_size=200)


@settings(deadline=None)
@given(SIZES, st.randoms())
def test_quantiles_rise_within_the_range_of_the_sizes_whatever_their_order(sizes: list[float], random: Random) -> None:
    found = quantiles(np.array(sizes, np.float32))
    assert (np.diff(found) >= 0).all()
    assert min(sizes) <= found[0] <= found[-1] <= max(sizes)
    random.shuffle(sizes)
    assert quantiles(np.array(sizes, np.float32)).tolist() == found.tolist()


def test_of_five_sizes_the_middle_one_is_the_median_and_the_ends_lie_between_neighbours() -> None:
    where = places_among(5)
    assert where.places.tolist() == [0, 1, 2, 3, 4]
    assert where.way.tolist() == [position * 4 % 1 for position in QUANTILES]
    assert quantiles(np.array([4, 0, 2, 3, 1], np.float32))[1:4].tolist() == [1, 2, 3]


non_negative = st.floats(0, width=32, allow_infinity=True) | st.sampled_from([0.0, 1.0, 1.5])


@settings(deadline=None)
@given(st.lists(non_negative, min_size=1, max_size=300))
def test_quantiles_are_those_of_numpy(values: list[float]) -> None:
    given = np.array(values, np.float32)
    ordered = np.sort(given).astype(np.float64)
    position = np.array(QUANTILES) * (len(given) - 1)
    low, high = (ordered[edge(position).astype(int)] for edge in (np.floor, np.ceil))
    with np.errstate(invalid="ignore"):  # numpy's own say NaN between two infinities
        expected = np.where(low == high, low, low + (high - low) * (position % 1))
    np.testing.assert_allclose(quantiles(given), expected, rtol=1e-12)
    if np.isfinite(given).all():
        np.testing.assert_allclose(quantiles(given), np.quantile(ordered, QUANTILES), rtol=1e-6)


@pytest.mark.parametrize("nan", [np.nan, -np.nan])
@pytest.mark.parametrize("number", [5, 5001])
def test_nan_is_the_largest_value(number: int, nan: float) -> None:
    given = np.random.default_rng(0).random(number).astype(np.float32)
    given[3] = nan
    found = quantiles(given)
    assert found[3] == np.sort(given)[3 * number // 4]
    assert np.isnan(found[4]) == (number == 5)
    given[1:] = nan
    assert np.isnan(quantiles(given)[1:]).all()
