"""Health rules of other tools, re-implemented on the monitor's records.

Thresholds are the defaults in their documentation or source. Rules on accuracy or activations do not apply here and are
left out. Values come from the histograms of the touched rows, each bucket at its middle; rows that were not touched
count as zeros.

Sources: SageMaker Debugger, "List of Debugger built-in rules"; AUTOTRAINER (Zhang et al., ICSE 2021), `reproduce.py`
and `utils/monitor.py`.
"""

from collections.abc import Callable, Iterator

import numpy as np

from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import TableSample
from cfmodel.model import CollaborativeFiltering

_BITS = np.arange(512)
#: Middle of each bucket of sign and exponent.
_MIDDLE = np.where(_BITS < 256, 1.5, -1.5) * 2.0 ** ((_BITS % 256) - 127.0)
_MIDDLE[[0, 255, 256, 511]] = 0


def vanishing_gradient(run: GradientHistory) -> bool:
    """SageMaker VanishingGradient: mean absolute gradient of a tensor below 1e-7."""
    return any((counts * abs(_MIDDLE)).sum() / counts.sum() < 1e-7 for counts in _dense(run))


def exploding_tensor(run: GradientHistory) -> bool:
    """SageMaker ExplodingTensor: a value that is not finite."""
    return not run.finite.all()


def all_zero(run: GradientHistory) -> bool:
    """SageMaker AllZero: every value of a gradient is zero."""
    return any(_at_zero(counts) == counts.sum() for counts in _dense(run))


def weight_update_ratio(run: GradientHistory) -> bool:
    """SageMaker WeightUpdateRatio: above 10 or below 1e-8."""
    ratios = np.concatenate([run.sampled(table, "update_to_weight") for table in CollaborativeFiltering.table_names()])
    return bool(((ratios > 10) | (ratios < 1e-8)).any())


def poor_weight_initialization(run: GradientHistory) -> bool:
    """SageMaker PoorWeightInitialization: 5th and 95th percentile of a gradient within 0.001 in the first 10 steps."""
    return any(_spread(counts) < 0.001 for counts in _dense(run, last_step=10))


def loss_not_decreasing(run: GradientHistory) -> bool:
    """SageMaker LossNotDecreasing: less than 0.1 % better over 10 steps."""
    loss = run.loss[::10]
    return bool((loss[1:] > 0.999 * loss[:-1]).any())


def overfit(run: GradientHistory) -> bool:
    """SageMaker Overfit: val loss more than 10 % above the training loss."""
    if run.outcome is None:
        return False
    train = [float(np.mean(block.mean_squared_error)) for block in run.blocks]
    return any((val**2 - loss) / loss > 0.1 for val, loss in zip(run.outcome.val_rmse, train, strict=False))


def autotrainer_vanish(run: GradientHistory) -> bool:
    """AUTOTRAINER vanish: first over last layer's gradient below 1e-3, and the first below 1e-4."""
    first, last = (
        run.grad_norm(CollaborativeFiltering.table_names()[0]),
        run.grad_norm(CollaborativeFiltering.table_names()[-1]),
    )
    return bool(((first < 1e-3 * last) & (first < 1e-4)).any())


def autotrainer_explode(run: GradientHistory) -> bool:
    """AUTOTRAINER explode: first over last layer's gradient above 70, or a loss that is NaN or above 1,000."""
    first, last = (
        run.grad_norm(CollaborativeFiltering.table_names()[0]),
        run.grad_norm(CollaborativeFiltering.table_names()[-1]),
    )
    return bool((first > 70 * last).any() or (~(run.loss <= 1e3)).any())


def autotrainer_dying(run: GradientHistory) -> bool:
    """AUTOTRAINER dying: 70 % or more of all gradient elements exactly zero."""
    steps: dict[int, np.ndarray] = {}
    for sample in run.samples:
        steps[sample.step] = sum((_counts(table) for table in sample.tables.values()), np.zeros(512))
    return any(_at_zero(counts) >= 0.7 * counts.sum() for counts in steps.values())


RULES: dict[str, Callable[[GradientHistory], bool]] = {
    "SageMaker VanishingGradient": vanishing_gradient,
    "SageMaker ExplodingTensor": exploding_tensor,
    "SageMaker AllZero": all_zero,
    "SageMaker WeightUpdateRatio": weight_update_ratio,
    "SageMaker PoorWeightInitialization": poor_weight_initialization,
    "SageMaker LossNotDecreasing": loss_not_decreasing,
    "SageMaker Overfit": overfit,
    "AUTOTRAINER vanish": autotrainer_vanish,
    "AUTOTRAINER explode": autotrainer_explode,
    "AUTOTRAINER dying": autotrainer_dying,
}


def _dense(run: GradientHistory, *, last_step: int | None = None) -> Iterator[np.ndarray]:
    """Yield the histogram of each table's whole gradient at each sampled step."""
    for sample in run.samples:
        if last_step is None or sample.step <= last_step:
            yield from (_counts(table) for table in sample.tables.values())


def _counts(table: TableSample) -> np.ndarray:
    """Return the histogram of a table's whole gradient, with zeros for the rows that were not touched."""
    counts = table.gradient_counts.astype(float)
    share = min(table.structural_zero_fraction, 1 - 1e-12)
    counts[0] += counts.sum() * share / (1 - share)
    return counts


def _at_zero(counts: np.ndarray) -> float:
    return float(counts[0] + counts[256])


def _spread(counts: np.ndarray) -> float:
    order = np.argsort(_MIDDLE, kind="stable")
    below = np.cumsum(counts[order]) / counts.sum()
    low, high = (_MIDDLE[order][min(int(np.searchsorted(below, at)), 511)] for at in (0.05, 0.95))
    return float(high - low)
