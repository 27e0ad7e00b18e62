"""The five quantiles that stand for a distribution in the records."""

import numpy as np
from torch import Tensor

from cfmodel.gradients.records import QUANTILES, Floats


def quantiles(values: Tensor) -> Floats:
    """Return the quantiles of at least one value at `QUANTILES`, between neighbours by straight lines.

    As `numpy.quantile` does; `torch.quantile` refuses more than 16 million values.

    Args:
        values: Values, shape (N,); a NaN counts as the largest.
    """
    last = len(values) - 1
    below = [int(share * last) for share in QUANTILES]
    above = [min(position + 1, last) for position in below]
    ordered = np.partition(values.cpu().numpy(), sorted({*below, *above}))
    low, high = ordered[below].astype(np.float64), ordered[above].astype(np.float64)
    shares = [share * last - position for share, position in zip(QUANTILES, below, strict=True)]
    with np.errstate(invalid="ignore"):
        between = low + (high - low) * shares
    # Between two infinities lies infinity, not NaN.
    found: Floats = np.where(low == high, low, between)
    return found
