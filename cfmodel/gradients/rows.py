"""One pass over the rows of a sampled step, compiled: what the CPU does in place of a dozen tensor operations."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cfmodel.compiled import compiled
from cfmodel.gradients.buckets import BUCKETS, MANTISSA_BITS, NOT_FINITE, TINY
from cfmodel.gradients.touched import DECILES

_INFINITY = 0x7F80_0000
#: Sums may be reordered, so that several are added up at once; what is not finite stays what it is.
_FAST = {"reassoc", "contract", "nsz"}


class RowSums(NamedTuple):
    """What one pass over R rows of a table finds.

    Attributes:
        gradient: Counts of the gradients by bucket, int64, shape (512,).
        norms: Counts of the gradients' row norms by bucket, int64, shape (512,).
        special: Exact zeros and infinities among gradients, then among row norms, int64, shape (4,).
        energy: Squared norm of the gradients in each popularity part, float64, shape (10,).
        squares: Squared norms of the rows' weights, and of the gradients less the penalty's part, shape (2,).
        weight_norms: L2 norm of each row's weights, float32, shape (R,).
    """

    gradient: npt.NDArray[np.int64]
    norms: npt.NDArray[np.int64]
    special: npt.NDArray[np.int64]
    energy: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]
    weight_norms: npt.NDArray[np.float32]


def sum_rows(
    gradient: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    pull: npt.NDArray[np.float32],
    deciles: npt.NDArray[np.int64],
) -> RowSums:
    """Look at R rows of a table and their gradients.

    Args:
        gradient: Gradients of the rows, shape (R, K).
        weights: The whole table, shape (rows, K).
        rows: Which rows, shape (R,).
        pull: What the penalty multiplies each row's weights by to make its part of the gradient, shape (R,).
        deciles: Popularity part of each row of the table, shape (rows,).
    """
    norms = np.empty(len(rows), np.float32)
    sums = RowSums(
        np.zeros(BUCKETS, np.int64),
        np.zeros(BUCKETS, np.int64),
        np.zeros(4, np.int64),
        np.zeros(DECILES),
        np.zeros(2),
        np.empty(len(rows), np.float32),
    )
    _sum(gradient, weights, rows, pull, deciles, norms, sums)
    _count(gradient.view(np.uint32), sums.gradient, sums.special)
    _count(norms.view(np.uint32).reshape(-1, 1), sums.norms, sums.special[2:])
    return sums


@compiled(fastmath=_FAST)
def _sum(gradient: Any, weights: Any, rows: Any, pull: Any, deciles: Any, norms: Any, sums: Any) -> None:
    dim = gradient.shape[1]
    for at in range(len(rows)):
        row = rows[at]
        square, weight_square, data_square = 0.0, 0.0, 0.0
        for k in range(dim):
            slope, weight = np.float64(gradient[at, k]), np.float64(weights[row, k])
            data = slope - pull[at] * weight
            square += slope * slope
            weight_square += weight * weight
            data_square += data * data
        norms[at] = abs(gradient[at, 0]) if dim == 1 else np.sqrt(square)
        sums.weight_norms[at] = abs(weights[row, 0]) if dim == 1 else np.sqrt(weight_square)
        sums.energy[deciles[row]] += square
        sums.squares[0] += weight_square
        sums.squares[1] += data_square


@compiled()
def _count(bits: Any, counts: Any, special: Any) -> None:
    """Count float32 values by their bits, shape (R, K): by bucket, exact zeros, infinities."""
    # Neighbours often fall into the same bucket, and adding to it would then wait for the last addition.
    room = np.zeros((4, len(counts)), np.int64)
    for at in range(len(bits)):
        for k in range(bits.shape[1]):
            room[k % 4, bits[at, k] >> np.uint32(MANTISSA_BITS)] += 1
    counts += room.sum(axis=0)
    if counts[TINY[0]] + counts[TINY[1]] + counts[NOT_FINITE[0]] + counts[NOT_FINITE[1]]:
        for at in range(len(bits)):
            for k in range(bits.shape[1]):
                size = bits[at, k] & np.uint32(0x7FFF_FFFF)
                special[0] += size == 0
                special[1] += size == _INFINITY


@compiled(fastmath=_FAST)
def movement(before: Any, after: Any, touched: Any) -> tuple[float, float, float]:
    """Return how far rows moved: the squared norm of those touched and of the others, and the sum of sizes touched.

    Args:
        before: Weights as they were, shape (rows, K).
        after: Weights as they are, shape (rows, K).
        touched: Whether a row is touched, shape (rows,).
    """
    size, ghost, absolute = 0.0, 0.0, 0.0
    for row in range(len(touched)):
        square, sizes = 0.0, 0.0
        for k in range(before.shape[1]):
            moved = np.float64(after[row, k]) - before[row, k]
            square += moved * moved
            sizes += abs(moved)
        if touched[row]:
            size += square
            absolute += sizes
        else:
            ghost += square
    return size, ghost, absolute
