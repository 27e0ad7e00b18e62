"""The five quantiles that stand for a distribution in the records."""

from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cfmodel.gradients.recording.buckets import MAGNITUDE
from cfmodel.gradients.recording.gradient_records import QUANTILES, Floats
from cfmodel.system.compiled import compiled

#: Parts that the values' range is divided into, so that few share one with those looked for.
_PARTS = 2048


class Places(NamedTuple):
    """Where among so many ordered values the quantiles lie.

    Attributes:
        places: Places that count, from 0, in order, each once, int64, shape (P,).
        low: Which of them is the last before each quantile, int64, shape (5,).
        high: Which of them is the first after, int64, shape (5,).
        way: How far between the two the quantile is, shape (5,).
    """

    places: npt.NDArray[np.int64]
    low: npt.NDArray[np.int64]
    high: npt.NDArray[np.int64]
    way: npt.NDArray[np.float64]


@lru_cache
def places_among(number: int) -> Places:
    """Return where the quantiles lie among so many values."""
    position = np.array(QUANTILES) * (number - 1)
    low = position.astype(np.int64)
    high = np.minimum(low + 1, number - 1)
    places = np.unique([low, high])
    return Places(places, np.searchsorted(places, low), np.searchsorted(places, high), position - low)


def quantiles(sizes: npt.NDArray[np.floating]) -> Floats:
    """Return the quantiles of at least one size at `QUANTILES`, between neighbours by straight lines.

    As `numpy.quantile` does, which takes five times as long: where no two inputs are the same a
    processor cannot guess which of two values is larger, and here it need not.

    Args:
        sizes: None negative, shape (N,); seen in float32; a NaN counts as the largest.
    """
    found = np.empty(len(QUANTILES))
    fill_quantiles(sizes.astype(np.float32, copy=False), places_among(len(sizes)), found)
    return found


@cache
def compile_quantiles() -> None:
    """Have it compiled, or read back, before a clock runs."""
    quantiles(np.ones(1, np.float32))


@compiled()
def fill_quantiles(sizes: Any, where: Any, found: Any) -> None:
    """Fill in the quantiles of float32 sizes, given `places_among` so many, shape (5,)."""
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
    # Parts in which places lie get a slot each, with room for all that are in them; the rest share the first one.
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
        # Between two infinities lies infinity, not NaN, and what lies at one place has nothing of the next.
        way = where.way[quantile]
        found[quantile] = low if low == high or way == 0 else low + (high - low) * way
