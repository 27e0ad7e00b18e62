"""What is asked of whole columns of ratings again and again, each in one pass."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cfmodel.system.compiled import FAST, compiled

Rows = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]


def occurrences(rows: Rows) -> Counts:
    """Count how often each row is there, from 0 to the largest; as `numpy.bincount`, in half its time.

    Args:
        rows: Row numbers, shape (N,); negative ones are left out.
    """
    counts = np.zeros(int(rows.max(initial=-1)) + 1, np.int64)
    _count(rows, counts)
    return counts


def standard_deviation(values: npt.NDArray[np.float32]) -> float:
    """Return the standard deviation of at least one value, added up in float64."""
    return float(_standard_deviation(values))


@compiled()
def _count(rows: Any, counts: Any) -> None:
    for at in range(len(rows)):
        if rows[at] >= 0:
            counts[rows[at]] += 1


@compiled(fastmath=FAST)
def _standard_deviation(values: Any) -> float:
    # Less the first, so that what all have in common does not drown how they differ.
    first, total, squares = np.float64(values[0]), 0.0, 0.0
    for at in range(len(values)):
        away = np.float64(values[at]) - first
        total, squares = total + away, squares + away * away
    return np.sqrt(max(squares / len(values) - (total / len(values)) ** 2, 0.0))  # type: ignore[no-any-return]
