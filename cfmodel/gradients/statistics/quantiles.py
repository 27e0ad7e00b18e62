"""The five quantiles by which the records describe a distribution."""

from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cfmodel.gradients.recording.buckets import MAGNITUDE
from cfmodel.gradients.recording.gradient_records import QUANTILES, Floats
from cfmodel.system.compiled import compiled

#: Number of parts of the values' range: so many that few values share a part with a wanted one.
_PARTS = 2048


class QuantilePlaces(NamedTuple):
    """Positions of the quantiles among a number of sorted values.

    Attributes:
        places: Positions of the values needed, from 0, rising, int64, shape (P,).
        low: Index in `places` of the value before each quantile, int64, shape (5,).
        high: Index in `places` of the value after it, int64, shape (5,).
        way: Fraction of the way from the one to the other, shape (5,).
    """

    places: npt.NDArray[np.int64]
    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    way: npt.NDArray[np.float64]


@lru_cache
def places_among(number: int) -> QuantilePlaces:
    """Return the positions of the quantiles among a number of sorted values."""
    position = np.array(QUANTILES) * (number - 1)
    low = position.astype(np.int64)
    high = np.minimum(low + 1, number - 1)
    places = np.unique([low, high])
    return QuantilePlaces(places, np.searchsorted(places, low), np.searchsorted(places, high), position - low)


def quantiles(sizes: npt.NDArray[np.floating]) -> Floats:
    """Return the quantiles of sizes at `QUANTILES`, with linear interpolation, shape (5,).

    They are those of `numpy.quantile`, which takes five times as long: it compares values, and the
    processor mispredicts the outcomes.

    Args:
        sizes: At least one, none negative, shape (N,); converted to float32. NaN counts as the largest.
    """
    found = np.empty(len(QUANTILES))
    fill_quantiles(sizes.astype(np.float32, copy=False), places_among(len(sizes)), found)
    return found


@cache
def compile_quantiles() -> None:
    """Compile the code, or read it from the cache, before anything is timed."""
    quantiles(np.ones(1, np.float32))


@compiled()
def fill_quantiles(sizes: Any, where: Any, found: Any) -> None:
    """Write the quantiles of float32 sizes, with `places_among` their number, to an array of shape (5,)."""
    bits, places = sizes.view(np.uint32), where.places
    first, last = np.uint32(MAGNITUDE), np.uint32(0)
    for at in range(len(bits)):
        key = bits[at] & np.uint32(MAGNITUDE)
        first, last = min(first, key), max(last, key)
    shift = np.uint32(0)
    while (last - first) >> shift >= _PARTS:
        shift += np.uint32(1)
    counts = np.zeros(_PARTS, np.int64)
    for at in range(len(bits)):
        counts[((bits[at] & np.uint32(MAGNITUDE)) - first) >> shift] += 1
    # Each part that holds a wanted position gets a slot with room for its values; all others share slot 0.
    slot, slots, below = np.zeros(_PARTS, np.int64), 0, 0
    start, before = np.zeros(len(places) + 2, np.int64), np.zeros(len(places) + 1, np.int64)
    of_place, place = np.zeros(len(places), np.int64), 0
    start[1] = 1
    for part in range(_PARTS):
        if place < len(places) and places[place] < below + counts[part]:
            slots += 1
            slot[part], before[slots], start[slots + 1] = slots, below, start[slots] + counts[part]
            while place < len(places) and places[place] < below + counts[part]:
                of_place[place] = slots
                place += 1
        below += counts[part]
    room, filled = np.empty(start[slots + 1], np.uint32), start.copy()
    for at in range(len(bits)):
        key = bits[at] & np.uint32(MAGNITUDE)
        into = slot[(key - first) >> shift]
        room[filled[into]] = key
        filled[into] += into != 0
    for one in range(1, slots + 1):
        room[start[one] : start[one + 1]].sort()
    values = np.empty(len(places), np.uint32)
    for place in range(len(places)):
        one = of_place[place]
        values[place] = room[start[one] + places[place] - before[one]]
    held = values.view(np.float32)
    for quantile in range(len(found)):
        low, high = np.float64(held[where.low[quantile]]), np.float64(held[where.high[quantile]])
        # Between two infinities lies infinity, not NaN, and a quantile at a position has no share of the next value.
        way = where.way[quantile]
        found[quantile] = low if low == high or way == 0 else low + (high - low) * way
