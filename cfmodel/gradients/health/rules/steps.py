"""Rules on the steps: how far they move the weights, and which of them stand out."""

import math

import numpy as np

from cfmodel.gradients.health.thresholds import Thresholds
from cfmodel.gradients.health.verdicts import Finding
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import Counts, Flags

#: Median of the absolute value of a standard normal number.
_NORMAL_MEDIAN = 0.6745


def learning_rate_too_high(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Find a stretch of steps whose median squared error is larger than that of the untrained model."""
    whole = run.num_steps // limits.rising_steps
    if run.initial is None or not whole:
        return None
    untrained = run.initial.rating_std**2 + run.initial.prediction_std**2
    start = max(untrained, float(run.mean_squared_error[0]))
    stretches = run.mean_squared_error[: whole * limits.rising_steps].reshape(whole, limits.rising_steps)
    risen = np.median(stretches, axis=1) / start if start > 0 else np.zeros(whole)
    if not risen.max() > limits.rising_error:
        return None
    return Finding(
        "error",
        value=float(risen.max()),
        threshold=limits.rising_error,
        message=f"training raised the squared error to {risen.max():.3g} times that of the untrained model",
        first_step=int(run.steps[(run.mean_squared_error > limits.rising_error * start).argmax()]),
    )


def learning_rate_too_low(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Compare how far Adam can move a weight in all steps with the spread of the ratings."""
    if run.initial is None or run.reach is None or run.num_steps < limits.reach_steps:
        return None
    first = float(np.median(run.mean_squared_error[: max(1, run.num_steps // 20)]))
    left = float(run.epoch_medians(run.mean_squared_error)[-1]) / first if first > 0 else 0.0
    if not (run.reach < limits.reach and left >= limits.reach_progress):
        return None
    return Finding(
        "warning",
        value=run.reach,
        threshold=limits.reach,
        message=f"{run.num_steps:,} steps can move a weight by at most {run.reach:.1g} times the ratings' spread, "
        f"and {left:.0%} of the squared error remains",
        first_step=int(run.steps[0]),
    )


def clipping(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Find gradients that are clipped in most steps, and whether the scale of the loss is the reason."""
    clipped = run.clip_coefficient[limits.clip_warm_up :] < 1
    if not len(clipped) or not clipped.mean() > limits.clip_fraction:
        return None
    scale = _loss_scale(run)
    blown_up = scale is not None and scale > limits.loss_scale
    what = f", with gradients {scale:.3g} times those of a single rating" if blown_up else ""
    return Finding(
        "warning" if blown_up else "info",
        value=scale if blown_up and scale is not None else float(clipped.mean()),
        threshold=limits.loss_scale if blown_up else limits.clip_fraction,
        message=f"{clipped.mean():.0%} of the steps were clipped{what}",
        first_step=int(run.steps[limits.clip_warm_up + int(clipped.argmax())]),
    )


def outlier_labels(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Find errors far above the typical one that occur for the same rating in more than one epoch."""
    typical = _typical_error(run)
    if typical is None:
        return None
    far = run.largest_error > limits.outlier_error * typical
    far &= _recurring(run, far)
    if not far.any():
        return None
    worst = int(np.where(far, run.largest_error, -1).argmax())
    unit = (run.initial.rating_std if run.initial is not None else 0.0) or 1.0
    return Finding(
        "warning",
        value=float(run.largest_error[worst]) / typical,
        threshold=limits.outlier_error,
        message=f"a rating differs from its prediction by {run.largest_error[worst] / unit:.3g} standard deviations, "
        f"{run.largest_error[worst] / typical:.3g} times the typical error",
        first_step=int(run.steps[far.argmax()]),
        rows=run.rating_of_largest_error(worst),
    )


def loss_spike(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Find a step whose squared error is many times its epoch's median, and not due to a single rating."""
    if not run.num_steps:
        return None
    medians = run.epoch_medians(run.mean_squared_error)
    usual = np.repeat(medians, [len(block.loss) for block in run.blocks])
    spike = np.divide(run.mean_squared_error, usual, out=np.zeros_like(usual), where=usual > 0)
    spike[: limits.spike_warm_up] = 0
    spike[_one_rating_decides(run)] = 0
    worst = int(np.nanargmax(spike))
    if not spike[worst] > limits.spike:
        return None
    return Finding(
        "warning",
        value=float(spike[worst]),
        threshold=limits.spike,
        message=f"the squared error of step {run.steps[worst]:,} is {spike[worst]:.3g} times its epoch's median",
        first_step=int(run.steps[(spike > limits.spike).argmax()]),
        rows=run.rating_of_largest_error(worst),
    )


def _loss_scale(run: GradientHistory) -> float | None:
    """Return the typical gradient norm over the root mean square norm of single ratings' gradients.

    The norm of a mean is at most the mean of the norms, so above 1 the loss is not a mean of squared errors.
    `noise_trace + signal_square` is the mean square, see `StepSample`.
    """
    squares = np.array([sample.noise_trace + sample.signal_square for sample in run.samples])
    norms = np.array([run.total_norm[sample.step - run.steps[0]] for sample in run.samples])
    known = squares > 0
    return float(np.median(norms[known] / np.sqrt(squares[known]))) if known.any() else None


def _typical_error(run: GradientHistory) -> float | None:
    """Return the standard deviation that the median error of the first epoch implies; None if unknown.

    The error is that of the median per-sample gradient. While vectors are small, its norm is 2 |error| sqrt(B), with
    one element of 2 |error| in each of the B tables whose rows are single numbers.
    """
    medians = [sample.per_sample_norm[2] for sample in run.samples if sample.epoch == 1]
    biases = len(run.tables) - len(run.vector_tables)
    if not biases or not medians or not np.median(medians) > 0:
        return None
    return float(np.median(medians)) / (math.sqrt(4 * biases) * _NORMAL_MEDIAN)


def _recurring(run: GradientHistory, far: Flags) -> Flags:
    """Mark steps whose rating with the largest error also has a far error in another epoch.

    In a first epoch nothing can recur yet: mark steps in which one rating decides.
    """
    if len(run.blocks) < 2:
        return _one_rating_decides(run)
    ratings = _rating_numbers(run)
    found, counts = np.unique(ratings[far], return_counts=True)
    recurring: Flags = np.isin(ratings, found[counts > 1])
    return recurring


def _one_rating_decides(run: GradientHistory) -> Flags:
    """Mark steps in which one rating has more than a quarter of the squared error."""
    size = run.initial.batch_size if run.initial else 1
    decides: Flags = run.largest_error**2 > 0.25 * size * run.mean_squared_error
    return decides


def _rating_numbers(run: GradientHistory) -> Counts:
    """Return a number for the rating with each step's largest error, shape (S,): equal for equal ratings."""
    numbers = np.zeros(run.num_steps, np.int64)
    for rows in run.largest_error_rows().values():
        numbers = numbers * (int(rows.max(initial=0)) + 1) + rows
    return numbers
