"""Statistics of whole columns of ratings, compiled, in one or two passes each."""

import math
from dataclasses import dataclass
from typing import Any, Self

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


def standard_deviation(values: npt.NDArray[np.floating[Any]]) -> float:
    """Return the standard deviation of at least one value, summed in float64."""
    return float(_standard_deviation(values))


@dataclass(frozen=True)
class RatingScale:
    """Mean and standard deviation of ratings, in rating units.

        standardized rating = (rating - mean) / std

    With the defaults a standardized rating is the rating itself.
    """

    mean: float = 0.0
    std: float = 1.0

    @property
    def decimals(self) -> int:
        """Digits after the decimal point that show a ten-thousandth of a standard deviation."""
        return max(0, 4 - round(math.log10(self.std)))

    @classmethod
    def of(cls, ratings: npt.NDArray[np.floating[Any]]) -> Self:
        """Return the scale of at least one rating; where all are equal to rounding, `std` is 1."""
        mean, std = float(np.mean(ratings, dtype=np.float64)), standard_deviation(ratings)
        rounding = np.finfo(np.float64).eps * float(np.abs(ratings).max())
        return cls(mean, std if std > 8 * rounding else 1.0)

    def standardized(self, ratings: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """Return standardized ratings, shape (N,), subtracted and divided in float64."""
        away: npt.NDArray[np.float64] = np.subtract(ratings, self.mean, dtype=np.float64)
        away /= self.std
        return away.astype(np.float32)

    def in_rating_units(self, standardized: float) -> float:
        """Return a standardized rating, or a score, in rating units."""
        return self.mean + self.std * float(standardized)


@compiled()
def _count(rows: Any, counts: Any) -> None:
    for at in range(len(rows)):
        if rows[at] >= 0:
            counts[rows[at]] += 1


@compiled(fastmath=FAST)
def _standard_deviation(values: Any) -> float:
    # The first value is subtracted, so that a large common offset does not cost digits, and the rest is divided by the
    # largest, so that no square overflows.
    first, largest, total, squares = np.float64(values[0]), 0.0, 0.0, 0.0
    for at in range(len(values)):
        largest = max(largest, abs(np.float64(values[at]) - first))
    unit = largest if largest > 0 else 1.0
    for at in range(len(values)):
        away = (np.float64(values[at]) - first) / unit
        total, squares = total + away, squares + away * away
    return unit * np.sqrt(max(squares / len(values) - (total / len(values)) ** 2, 0.0))  # type: ignore[no-any-return]
