"""Histogram buckets that are the same for every step, run and machine.

A float32 is one sign bit, eight exponent bits and 23 more. The bucket of a value is its sign and
exponent, a number from 0 to 511:

    bucket = (bits >> 23) & 511

Bucket b from 1 to 254 holds the values in [2^(b - 127), 2^(b - 126)), bucket b + 256 the same below
zero. Buckets 0 and 256 hold zeros and denormals, 255 and 511 infinities and NaN. Nothing depends on
the data, so counts of two steps, runs or machines add and subtract bucket by bucket, exactly.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

#: Number of buckets; the second half is the negative one.
BUCKETS, HALF = 512, 256
#: Buckets that hold infinities and NaN, and those that hold zeros and denormals.
NOT_FINITE, TINY = (255, 511), (0, 256)
#: Bits of a float32 below its exponent.
MANTISSA_BITS = 23
#: All of its bits but the sign. Read as integers they sort by magnitude, NaN last.
MAGNITUDE = 0x7FFF_FFFF


def bucket_lower_bounds() -> npt.NDArray[np.float64]:
    """Return the smallest magnitude in each bucket, shape (512,): 0 in the first of each sign, inf in the last."""
    exponents = np.arange(HALF)
    bounds = np.ldexp(1.0, exponents - 127)
    bounds[0], bounds[HALF - 1] = 0.0, np.inf
    return np.tile(bounds, 2)


def bucket_edges() -> npt.NDArray[np.float64]:
    """Return the lower and upper edge of each bucket, shape (512, 2); NaN for infinities and NaN."""
    magnitude = bucket_lower_bounds()[:HALF]
    positive = np.column_stack([magnitude, np.r_[magnitude[1:], np.nan]])
    positive[0, 1], positive[-2, 1], positive[-1] = magnitude[1], 2 * magnitude[-2], np.nan
    return np.concatenate([positive, -positive[:, ::-1]])


def _magnitude_counts(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Add up the counts of both signs: from shape (..., 512) to (..., 256)."""
    folded: npt.NDArray[np.int64] = counts[..., :HALF] + counts[..., HALF:]
    return folded


def magnitude_quantiles(counts: npt.NDArray[np.int64], quantiles: Sequence[float]) -> npt.NDArray[np.float64]:
    """Estimate quantiles of the finite values' magnitudes from their buckets.

    Within a bucket, values are assumed to be spread evenly on a logarithmic scale, so an estimate is off
    by a factor of 2 at most. Zeros and denormals count as 0.

    Args:
        counts: Counts by bucket, shape (512,).
        quantiles: Q shares in [0, 1].

    Returns:
        Magnitudes in the unit of the values, shape (Q,); NaN if no finite value was counted.
    """
    finite = _magnitude_counts(counts)[: HALF - 1]
    below = np.cumsum(finite)
    if below[-1] == 0:
        return np.full(len(quantiles), np.nan)
    ranks = np.asarray(quantiles) * below[-1]
    bucket = np.minimum(np.searchsorted(below, ranks), np.flatnonzero(finite)[-1])
    share = (ranks - (below[bucket] - finite[bucket])) / np.maximum(finite[bucket], 1)
    estimates: npt.NDArray[np.float64] = np.where(bucket == 0, 0.0, np.exp2(bucket - 127.0 + share))
    return estimates
