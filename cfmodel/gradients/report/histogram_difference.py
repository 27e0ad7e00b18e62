"""The gradients of two runs subtracted bucket by bucket, at matching progress."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import Floats, StepSample

#: How far two steps' progress may be apart to be held against each other, in shares of a training
#: and in shares of the progress made, whichever is more: little changes late that changed early.
MATCHING, MATCHING_LATE = 0.05, 0.2


@dataclass(frozen=True, eq=False)
class GradientDifference:
    """The gradients of one table in two runs at matching progress.

    Attributes:
        progress: Share of the base run's steps done, shape (P,), rising.
        base: Share of the base run's values in each bucket, shape (P, 512).
        other: The same of the other run; NaN where it was not looked at near that progress.
    """

    progress: Floats
    base: Floats
    other: Floats

    @property
    def difference(self) -> Floats:
        """Share in the other run less share in the base run, shape (P, 512); each row adds up to 0 or is NaN."""
        found: Floats = self.other - self.base
        return found

    @property
    def distance(self) -> Floats:
        """How far apart the histograms are, shape (P,): half the sum of absolute differences.

        0: alike; 1: no bucket in common (total variation distance); NaN where there is nothing to compare.
        """
        found: Floats = np.abs(self.difference).sum(axis=1) / 2
        return found

    @property
    def mean_distance(self) -> float:
        """`distance` over the points where both runs were looked at; the first step is always among them."""
        return float(np.nanmean(self.distance))


def gradient_difference(
    base: GradientHistory, other: GradientHistory, table: str, *, points: int
) -> GradientDifference:
    """Set two runs' gradient histograms side by side at matching progress.

    Progress is the share of a run's own steps that is done. The base run's sampled steps say where
    to compare, at most `points` of them; the other run's sampled step nearest in progress is taken,
    where that is near enough: the first step of one is no match for the last of another.
    """
    mine, theirs = _progress(base), _progress(other)
    wanted = mine if len(mine) <= points else np.linspace(mine[0], 1.0, points)
    chosen = np.unique(_nearest(mine, wanted))
    matching = _nearest(theirs, mine[chosen])
    shares = np.stack([bucket_shares(other.samples[place], table) for place in matching])
    apart = np.abs(theirs[matching] - mine[chosen])
    shares[apart > np.maximum(MATCHING, MATCHING_LATE * mine[chosen])] = np.nan
    return GradientDifference(
        progress=mine[chosen],
        base=np.stack([bucket_shares(base.samples[place], table) for place in chosen]),
        other=shares,
    )


def bucket_shares(sample: StepSample, table: str) -> Floats:
    """Return the share of a table's gradient elements in each bucket, shape (512,); all 0 where there are none."""
    counts = sample.tables[table].gradient_counts
    shares: Floats = counts / max(int(counts.sum()), 1)
    return shares


def _progress(history: GradientHistory) -> Floats:
    progress: Floats = np.array([sample.step for sample in history.samples]) / max(history.num_steps, 1)
    return progress


def _nearest(rising: Floats, wanted: Floats) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the place in `rising` nearest to each wanted value; of two equally near the earlier."""
    right = np.searchsorted(rising, wanted).clip(0, len(rising) - 1)
    left = (right - 1).clip(0)
    return np.where(wanted - rising[left] <= rising[right] - wanted, left, right).astype(np.int64)
