"""Data for the pages: histograms on an axis of octaves, and as many steps as a screen can show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import GradientRecord, StepSample

#: The two trainings of a run, in order.
_PHASES = ("fit", "refit")

#: Most sampled steps, most histograms over all tables, and most points of a curve for one phase on a page.
MOST_SAMPLES, MOST_HISTOGRAMS, MOST_POINTS = 160, 640, 400

#: Most octaves of an axis, and the share of the values that may lie below the lowest one.
_MOST_OCTAVES, _UNSEEN_SHARE = 40, 0.0005

_EXPONENT_BIAS, _SPECIAL = 127, 255

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class OctaveAxis:
    """Axis of a drawn histogram, in cells of one bucket each.

    Attributes:
        low: The smallest octave starts at 2**low.
        octaves: Octaves on each side of zero.
        signed: Whether negative values have cells of their own.
    """

    low: int
    octaves: int
    signed: bool

    def cells(self, counts: Array) -> Array:
        """Return the counts of the cells, from the most negative through zero to the largest.

        Args:
            counts: By bucket, shape (S, 512).

        Returns:
            Shape (S, 2 * octaves + 1), or (S, octaves + 1) if unsigned. The cell of zero holds all values
            smaller than 2**low; values that are not finite have no cell.
        """
        first = self.low + _EXPONENT_BIAS
        positive, negative = counts[:, :256], counts[:, 256:]
        small = positive[:, :first].sum(axis=1, keepdims=True) + negative[:, :first].sum(axis=1, keepdims=True)
        right = positive[:, first : first + self.octaves]
        if not self.signed:
            return np.concatenate([small, right], axis=1)
        return np.concatenate([negative[:, first : first + self.octaves][:, ::-1], small, right], axis=1)


def octave_axis(counts: Array, *, signed: bool) -> OctaveAxis:
    """Choose the octaves that hold nearly all values, always including the largest.

    Args:
        counts: By bucket, shape (S, 512), of all steps drawn on the axis.
        signed: Whether negative values have cells of their own.
    """
    total = (counts[:, :_SPECIAL] + counts[:, 256 : 256 + _SPECIAL]).astype(float)
    share = (total / np.maximum(total.sum(axis=1, keepdims=True), 1)).mean(axis=0)
    share[0] = 0  # zeros and denormals
    if not share.any():
        return OctaveAxis(low=-10, octaves=1, signed=signed)
    last = int(np.flatnonzero(share)[-1])
    first = int(np.searchsorted(share.cumsum(), _UNSEEN_SHARE * share.sum(), side="right"))
    first = max(min(first, last), last - _MOST_OCTAVES + 1, 1)
    return OctaveAxis(low=first - _EXPONENT_BIAS, octaves=last - first + 1, signed=signed)


def thinned(samples: Sequence[StepSample], most: int = MOST_SAMPLES) -> list[StepSample]:
    """Return at most this many samples, evenly spread over the steps, including the first and the last."""
    if len(samples) <= most:
        return list(samples)
    steps = np.array([sample.step for sample in samples])
    wanted = np.linspace(steps[0], steps[-1], most)
    right = np.searchsorted(steps, wanted).clip(1, len(steps) - 1)
    closest = np.where(wanted - steps[right - 1] < steps[right] - wanted, right - 1, right)
    return [samples[index] for index in np.unique(closest)]


def curve(values: Array, most: int = MOST_POINTS) -> dict[str, list[float | None]]:
    """Return the median of a series in each stretch of steps and, if it has more than `most` values, its extremes.

    A value that is not finite is a gap.
    """
    if len(values) <= most:
        return {"middle": rounded(values)}
    finite = np.where(np.isfinite(values), values, np.nan)
    stretches = [part[np.isfinite(part)] for part in np.array_split(finite, most)]

    def over(reduce: Callable[[Array], Any]) -> list[float | None]:
        return [rounded(reduce(part)) if len(part) else None for part in stretches]

    return {"middle": over(np.median), "low": over(np.min), "high": over(np.max)}


def curve_steps(first: int, length: int, most: int = MOST_POINTS) -> list[int]:
    """Return the step in the middle of each stretch of `curve`."""
    steps = np.arange(first, first + length)
    stretches = np.array_split(steps, most) if length > most else steps[:, None]
    return [int(part[len(part) // 2]) for part in stretches]


def rounded(values: Any) -> Any:
    """Return numbers rounded to four digits, enough for a screen; None for those that are not finite."""
    if isinstance(values, np.ndarray | list | tuple):
        return [rounded(value) for value in values]
    return float(f"{values:.4g}") if np.isfinite(values) else None


def phase_pictures(history: GradientHistory) -> dict[str, Any]:
    """Return the report's data of one phase that has an initial record, steps and samples, as plain values."""
    start, tables = history.initial, history.tables
    samples = thinned(history.samples, min(MOST_SAMPLES, max(2, MOST_HISTOGRAMS // len(tables))))
    assert start is not None
    return {
        "name": start.phase,
        "steps": history.num_steps,
        "epochs": [{"epoch": block.epoch, "step": block.first_step + len(block.loss) - 1} for block in history.blocks],
        "max_grad_norm": start.max_grad_norm,
        "rows": start.rows,
        "ratings_by_decile": {table: rounded(start.ratings_by_decile[table]) for table in tables},
        "series": _series(history),
        "samples": {
            **{name: [getattr(sample, name) for sample in samples] for name in ("step", "epoch", "batch_size")},
            "noise_scale": rounded(noise_scale(samples)),
        },
        "histograms": {table: _histograms(samples, table) for table in tables},
    }


def histories(records: Sequence[GradientRecord]) -> dict[str, GradientHistory]:
    """Return the phases that have an initial record, a step and a sample, in order."""
    found = {phase: GradientHistory.of(records, phase=phase) for phase in _PHASES}
    return {phase: one for phase, one in found.items() if one.initial and one.blocks and one.samples}


def _series(history: GradientHistory) -> dict[str, Any]:
    before = {table: history.grad_norm(table) for table in history.tables} | {"total": history.total_norm}
    columns = {
        "loss": history.loss,
        "mean_squared_error": history.mean_squared_error,
        "largest_error": history.largest_error,
        **{f"before/{name}": norms for name, norms in before.items()},
        **{f"after/{name}": norms * history.clip_coefficient for name, norms in before.items()},
    }
    return {
        "step": curve_steps(int(history.steps[0]), history.num_steps),
        "values": {name: curve(values) for name, values in columns.items()},
    }


def noise_scale(samples: Sequence[StepSample], window: int = 8) -> Array:
    """Return the gradient noise scale in ratings, with both parts averaged over up to `window` samples.

    NaN if noise hides the signal.
    """
    trace, signal = (
        _moving_mean(np.array([getattr(sample, part) for sample in samples]), window)
        for part in ("noise_trace", "signal_square")
    )
    scale: Array = np.divide(trace, signal, out=np.full(len(samples), np.nan), where=signal > 0)
    return scale


def _moving_mean(values: Array, window: int) -> Array:
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    begins = np.maximum(ends - window, 0)
    means: Array = (sums[ends] - sums[begins]) / (ends - begins)
    return means


def _histograms(samples: Sequence[StepSample], table: str) -> dict[str, Any]:
    seen = [sample.tables[table] for sample in samples]
    exact = ("rows_touched", "zeros", "denormals", "infinities", "nans")
    ratios = ("structural_zero_fraction", "update_to_weight", "adam_step", "ghost_share")
    return {
        "gradients": _drawn(np.stack([one.gradient_counts for one in seen]), signed=True),
        "row_norms": _drawn(np.stack([one.row_norm_counts for one in seen]), signed=False),
        "energy_by_decile": [rounded(one.energy_by_decile) for one in seen],
        **{name: [int(getattr(one, name)) for one in seen] for name in exact},
        **{name: rounded([getattr(one, name) for one in seen]) for name in ratios},
    }


def _drawn(counts: Array, *, signed: bool) -> dict[str, Any]:
    axis = octave_axis(counts, signed=signed)
    shape = {"low": axis.low, "octaves": axis.octaves, "signed": axis.signed}
    return {"axis": shape, "counts": axis.cells(counts).tolist()}
