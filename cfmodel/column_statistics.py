"""Statistics of whole columns of ratings, compiled, in one pass each."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cfmodel.system.compiled import FAST, compiled

Rows = npt.NDArray[np.int32]
Counts = npt.NDArray[np.int64]


def occurrences(rows: Rows) -> Counts:
    """Count how often each row occurs, from 0 to the largest; like `numpy.bincount` in half the time.

    Args:
        rows: Row numbers, shape (N,); negative ones are skipped.
    """
    counts = np.zeros(int(rows.max(initial=-1)) + 1, np.int64)
    _count(rows, counts)
    return counts


def standard_deviation(values: npt.NDArray[np.float32]) -> float:
    """Return the standard deviation of at least one value, summed in float64."""
    return float(_standard_deviation(values))


@compiled()
def _count(rows: Any, counts: Any) -> None:
    for at in range(len(rows)):
        if rows[at] >= 0:
            counts[rows[at]] += 1


@compiled(fastmath=FAST)
def _standard_deviation(values: Any) -> float:
    # The first value is subtracted, so that a large common offset does not cost digits.
    first, total, squares = np.float64(values[0]), 0.0, 0.0
    for at in range(len(values)):
        away = np.float64(values[at]) - first
        total, squares = total + away, squares + away * away
    return np.sqrt(max(squares / len(values) - (total / len(values)) ** 2, 0.0))  # type: ignore[no-any-return]
