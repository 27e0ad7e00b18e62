"""Rules on the steps: how far they go, what stands out among them."""

import math

import numpy as np

from cfmodel.gradients.history import GradientHistory, Outcome
from cfmodel.gradients.records import Counts, Flags
from cfmodel.gradients.thresholds import Thresholds
from cfmodel.gradients.verdicts import Finding

#: Median of the absolute value of a standard normal number.
_NORMAL_MEDIAN = 0.6745


def learning_rate_too_high(run: GradientHistory, _: Outcome | None, limits: Thresholds) -> Finding | None:
    """Find an epoch whose typical error is larger than that of the untrained model."""
    if run.initial is None or not run.num_steps:
        return None
    untrained = run.initial.rating_std**2 + run.initial.prediction_std**2
    start = max(untrained, float(run.mean_squared_error[0]))
    medians = run.epoch_medians(run.mean_squared_error)
    if not start > 0 or not np.nanmax(medians) > limits.rising_error * start:
        return None
    return Finding(
        "error",
        value=float(np.nanmax(medians)) / start,
        threshold=limits.rising_error,
        message=f"training raised the squared error to {np.nanmax(medians) / start:.3g} times that of no training",
        first_step=int(run.steps[(run.mean_squared_error > limits.rising_error * start).argmax()]),
    )


def learning_rate_too_low(run: GradientHistory, _: Outcome | None, limits: Thresholds) -> Finding | None:
    """Compare how far Adam could carry a bias over all steps with the spread of the ratings."""
    if run.initial is None or not run.samples or run.num_steps < limits.reach_steps:
        return None
    sampled, rates = zip(*((sample.step, sample.learning_rate) for sample in run.samples), strict=True)
    reach = float(np.interp(run.steps, sampled, rates).sum()) / run.initial.rating_std
    medians = run.epoch_medians(run.mean_squared_error)
    left = float(medians[-1] / run.initial.rating_std**2)
    if reach >= limits.reach or left < limits.reach_progress:
        return None
    return Finding(
        "warning",
        value=reach,
        threshold=limits.reach,
        message=f"{run.num_steps:,} steps can move a bias by {reach:.1g} times the spread of the ratings at most, "
        f"and {left:.0%} of the squared error is left",
        first_step=int(run.steps[0]),
    )


def clipping(run: GradientHistory, _: Outcome | None, limits: Thresholds) -> Finding | None:
    """Find gradients that are cut down in most steps, or at all."""
    coefficient = run.clip_coefficient[limits.clip_warm_up :]
    if not len(coefficient):
        return None
    clipped = coefficient < 1
    depth, share = float(np.median(coefficient)), float(clipped.mean())
    deep = depth < limits.clip_depth
    if not deep and share <= limits.clip_fraction:
        return None
    return Finding(
        "warning" if deep else "info",
        value=depth if deep else share,
        threshold=limits.clip_depth if deep else limits.clip_fraction,
        message=f"{share:.0%} of the steps were clipped, the typical one to {depth:.2g} of its gradient",
        first_step=int(run.steps[limits.clip_warm_up + int(clipped.argmax())]),
    )


def outlier_labels(run: GradientHistory, _: Outcome | None, limits: Thresholds) -> Finding | None:
    """Find errors far beyond the typical one that come back with the same rating every epoch."""
    typical = _typical_error(run)
    if typical is None:
        return None
    far = run.largest_error > limits.outlier_error * typical
    far &= _recurring(run, far)
    if not far.any():
        return None
    users, movies = run.largest_error_rows()
    worst = int(np.where(far, run.largest_error, -1).argmax())
    return Finding(
        "warning",
        value=float(run.largest_error[worst]) / typical,
        threshold=limits.outlier_error,
        message=f"a rating is {run.largest_error[worst]:.3g} off its prediction, "
        f"{run.largest_error[worst] / typical:.3g} times the typical error",
        first_step=int(run.steps[far.argmax()]),
        rows=(("user_embeddings", int(users[worst])), ("movie_embeddings", int(movies[worst]))),
    )


def loss_spike(run: GradientHistory, _: Outcome | None, limits: Thresholds) -> Finding | None:
    """Find a step whose squared error is many times its epoch's, and no single rating's doing."""
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
    users, movies = run.largest_error_rows()
    return Finding(
        "warning",
        value=float(spike[worst]),
        threshold=limits.spike,
        message=f"the squared error of step {run.steps[worst]:,} is {spike[worst]:.3g} times that of its epoch",
        first_step=int(run.steps[(spike > limits.spike).argmax()]),
        rows=(("user_embeddings", int(users[worst])), ("movie_embeddings", int(movies[worst]))),
    )


def _typical_error(run: GradientHistory) -> float | None:
    """Return the standard deviation that the median error of the first epoch suggests, in rating units.

    The median is that of the per-sample gradient norms, sqrt(8) times the error while embeddings are small.
    """
    medians = [sample.per_sample_norm[2] for sample in run.samples if sample.epoch == 1]
    if not medians or not np.median(medians) > 0:
        return None
    return float(np.median(medians)) / (math.sqrt(8) * _NORMAL_MEDIAN)


def _recurring(run: GradientHistory, far: Flags) -> Flags:
    """Mark steps whose largest error belongs to a rating that is so in a second epoch too.

    In a first epoch alone nothing can come back: there a rating counts that decides its batch.
    """
    if len(run.blocks) < 2:
        return _one_rating_decides(run)
    pairs = _pairs(run)
    found, counts = np.unique(pairs[far], return_counts=True)
    recurring: Flags = np.isin(pairs, found[counts > 1])
    return recurring


def _one_rating_decides(run: GradientHistory) -> Flags:
    """Mark steps with more than a quarter of their squared error in one rating."""
    size = run.initial.batch_size if run.initial else 1
    decides: Flags = run.largest_error**2 > 0.25 * size * run.mean_squared_error
    return decides


def _pairs(run: GradientHistory) -> Counts:
    users, movies = run.largest_error_rows()
    return users * (int(movies.max(initial=0)) + 1) + movies
