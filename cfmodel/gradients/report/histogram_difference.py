"""Difference of two runs' gradient histograms, bucket by bucket, at matching progress."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import Floats, StepSample

#: Two steps match if their progress differs by at most this share of a training, or this share of the
#: progress made if that is more: gradients change less late in a training.
_MATCHING, _MATCHING_LATE = 0.05, 0.2


@dataclass(frozen=True, eq=False)
class GradientDifference:
    """The gradients of one table in two runs at matching progress.

    Attributes:
        progress: Share of the base run's steps done, shape (P,), rising.
        base: Share of the base run's values in each bucket, shape (P, 512).
        other: The same for the other run; NaN if it has no sampled step near that progress.
    """

    progress: Floats
    base: Floats
    other: Floats

    @property
    def difference(self) -> Floats:
        """Share in the other run minus share in the base run, shape (P, 512); each row sums to 0 or is NaN."""
        found: Floats = self.other - self.base
        return found

    @property
    def distance(self) -> Floats:
        """Total variation distance of the histograms, shape (P,): half the sum of absolute differences.

        0: equal; 1: no bucket in common; NaN: nothing to compare.
        """
        found: Floats = np.abs(self.difference).sum(axis=1) / 2
        return found

    @property
    def mean_distance(self) -> float:
        """Mean of `distance` over the points where both runs have a sampled step; the first step always is one."""
        return float(np.nanmean(self.distance))


def gradient_difference(
    base: GradientHistory, other: GradientHistory, table: str, *, points: int
) -> GradientDifference:
    """Compare the gradient histograms of a table in two runs at matching progress.

    Progress is the share of a run's own steps that is done. Runs are compared at the base run's sampled
    steps, at most `points` of them, each with the other run's sampled step of nearest progress. A step
    that is too far away does not count.
    """
    mine, theirs = _progress(base), _progress(other)
    wanted = mine if len(mine) <= points else np.linspace(mine[0], 1.0, points)
    chosen = np.unique(_nearest(mine, wanted))
    matching = _nearest(theirs, mine[chosen])
    shares = np.stack([_bucket_shares(other.samples[place], table) for place in matching])
    apart = np.abs(theirs[matching] - mine[chosen])
    shares[apart > np.maximum(_MATCHING, _MATCHING_LATE * mine[chosen])] = np.nan
    return GradientDifference(
        progress=mine[chosen],
        base=np.stack([_bucket_shares(base.samples[place], table) for place in chosen]),
        other=shares,
    )


def _bucket_shares(sample: StepSample, table: str) -> Floats:
    """Return the share of a table's gradient elements in each bucket, shape (512,); all 0 if there are none."""
    counts = sample.tables[table].gradient_counts
    shares: Floats = counts / max(int(counts.sum()), 1)
    return shares


def _progress(history: GradientHistory) -> Floats:
    progress: Floats = np.array([sample.step for sample in history.samples]) / max(history.num_steps, 1)
    return progress


def _nearest(rising: Floats, wanted: Floats) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the position in `rising` nearest to each wanted value; of two equally near ones the earlier."""
    right = np.searchsorted(rising, wanted).clip(0, len(rising) - 1)
    left = (right - 1).clip(0)
    return np.where(wanted - rising[left] <= rising[right] - wanted, left, right).astype(np.int64)
