"""Quantiles of sizes: what holds whatever the sizes are."""

from random import Random

import numpy as np
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
