"""Rules on the state of the tables."""

import numpy as np

from cfmodel.gradients.health.thresholds import Thresholds
from cfmodel.gradients.health.verdicts import Finding
from cfmodel.gradients.recording.gradient_history import GradientHistory


def collapsed_embeddings(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Find embeddings that say less than their random start did, or that have one direction left."""
    if run.initial is None or not run.epochs or run.num_steps < limits.collapse_steps:
        return None
    return _shrunk(run, limits) or _one_direction(run, limits)


def carries_embeddings(run: GradientHistory, limits: Thresholds) -> bool:
    """Return whether there are enough ratings per row to learn embeddings."""
    if run.initial is None or not run.vector_tables:
        return False
    rows = sum(run.initial.rows[table] - run.initial.cold_rows[table] for table in run.vector_tables)
    return run.initial.num_ratings >= limits.ratings_per_row * rows


def mean_leak(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Find an embedding table that is mostly one vector shared by all rows.

    Early in training that is normal. It is a fault if the first error was larger than the spread of the
    ratings: a mean was left to learn, and the embeddings learned it.
    """
    leaks = {table: run.by_epoch(table, "mean_leak") for table in run.vector_tables} if run.epochs else {}
    last = {table: leak[-1] for table, leak in leaks.items() if leak[-1] > limits.mean_leak}
    if not last or run.initial is None or not run.num_steps:
        return None
    table = max(last, key=lambda name: last[name])
    untrained = run.initial.rating_std**2 + run.initial.prediction_std**2
    return Finding(
        "warning" if run.mean_squared_error[0] > limits.mean_left * untrained else "info",
        value=float(last[table]),
        threshold=limits.mean_leak,
        message=f"{last[table]:.0%} of {table} is one vector that all rows share",
        first_step=run.epochs[int((leaks[table] > limits.mean_leak).argmax())].step,
        table=table,
    )


def cold_row_drift(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Find rows without a rating that move nevertheless."""
    for table in run.tables:
        drift = run.by_epoch(table, "cold_drift")
        if not (drift > limits.cold_drift).any():
            continue
        last = run.epochs[-1].tables[table]
        return Finding(
            "warning",
            value=float(drift.max()),
            threshold=limits.cold_drift,
            message=f"{last.cold_rows:,} rows of {table} have no rating, yet moved by {drift.max():.0%} of their norm",
            first_step=run.epochs[int((drift > limits.cold_drift).argmax())].step,
            table=table,
            rows=run.rows_of(table, last.cold_row_examples),
        )
    return None


def ghost_updates(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Measure the share of the movement that happens on rows without a gradient."""
    if not run.samples or not run.vector_tables:
        return None
    shares = {table: float(np.median(run.sampled(table, "ghost_share"))) for table in run.vector_tables}
    table = max(shares, key=lambda name: shares[name])
    if not shares[table] > limits.ghost_share:
        return None
    return Finding(
        "info",
        value=shares[table],
        threshold=limits.ghost_share,
        message=f"{shares[table]:.0%} of the movement of {table} is momentum on rows without a gradient",
        first_step=int(run.samples[int((run.sampled(table, "ghost_share") > limits.ghost_share).argmax())].step),
        table=table,
    )


def noise_floor(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Find since when the gradient has been smaller than the noise of single ratings, up to the end."""
    means = []
    for block in run.blocks:
        signals = [sample.signal_square for sample in run.samples if sample.epoch == block.epoch]
        means.append(float(np.mean(signals)) if signals else np.nan)
    lost = np.array(means) <= 0
    since = len(lost) - int((~lost[::-1]).argmax()) if len(lost) and not lost.all() else 0
    if len(lost) - since < limits.noise_epochs:
        return None
    return Finding(
        "info",
        value=float(len(lost) - since),
        threshold=limits.noise_epochs,
        message=f"from epoch {run.blocks[since].epoch} on the gradient is smaller than its own noise",
        first_step=run.blocks[since].first_step,
    )


def _shrunk(run: GradientHistory, limits: Thresholds) -> Finding | None:
    assert run.initial is not None
    spreads = np.array([epoch.dot_std for epoch in run.epochs])
    if not spreads[-1] < limits.collapse * run.initial.prediction_std:
        return None
    ratio = float(spreads[-1] / run.initial.prediction_std)
    return Finding(
        "error" if carries_embeddings(run, limits) else "info",
        value=ratio,
        threshold=limits.collapse,
        message=f"the dot products spread {ratio:.2g} times as widely as at random initialization: embeddings are gone",
        first_step=run.epochs[int((spreads < limits.collapse * run.initial.prediction_std).argmax())].step,
    )


def _one_direction(run: GradientHistory, limits: Thresholds) -> Finding | None:
    ranks = {table: run.by_epoch(table, "effective_rank") for table in run.vector_tables}
    if not ranks:
        return None
    table = min(ranks, key=lambda name: ranks[name][-1])
    if not ranks[table][-1] < limits.rank or ranks[table][0] >= limits.rank:
        return None
    return Finding(
        "warning",
        value=float(ranks[table][-1]),
        threshold=limits.rank,
        message=f"all rows of {table} point in one direction: their effective rank is {ranks[table][-1]:.3g}",
        first_step=run.epochs[int((ranks[table] < limits.rank).argmax())].step,
        table=table,
    )
