"""The five quantiles that stand for a distribution in the records."""

from functools import lru_cache

import numpy as np
from torch import Tensor

from cfmodel.gradients.records import QUANTILES, Floats


def quantiles(values: Tensor) -> Floats:
    """Return the quantiles of at least one value at `QUANTILES`, between neighbours by straight lines.

    As `numpy.quantile` does; `torch.quantile` refuses more than 16 million values.

    Args:
        values: Values, shape (N,); a NaN counts as the largest.
    """
    places, ways = _places(len(values))
    held = np.partition(values.cpu().numpy(), places).take(places).tolist()
    # Between two infinities lies infinity, not NaN.
    return np.array([held[a] if held[a] == held[b] else held[a] + (held[b] - held[a]) * way for a, b, way in ways])


@lru_cache
def _places(number: int) -> tuple[list[int], list[tuple[int, int, float]]]:
    """Return which of so many ordered values count, and of each quantile the two among them and its way between."""
    last = number - 1
    neighbours = [(int(share * last), min(int(share * last) + 1, last)) for share in QUANTILES]
    places = sorted({place for pair in neighbours for place in pair})
    ways = [
        (places.index(low), places.index(high), share * last - low)
        for share, (low, high) in zip(QUANTILES, neighbours, strict=True)
    ]
    return places, ways
