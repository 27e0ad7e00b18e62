"""Rules on the start of training: a fault here affects everything that follows."""

import numpy as np

from cfmodel.gradients.health.thresholds import Thresholds
from cfmodel.gradients.health.verdicts import Finding
from cfmodel.gradients.recording.gradient_history import GradientHistory


def non_finite(run: GradientHistory, _: Thresholds) -> Finding | None:
    """Find the first step whose loss, error or gradient is infinite or NaN."""
    if run.finite.all():
        return None
    bad = int(run.finite.argmin())
    tables = [table for table in run.tables if not np.isfinite(run.grad_norm(table)[bad])]
    return Finding(
        "error",
        value=float((~run.finite).sum()),
        threshold=0.0,
        message=f"loss, error or gradient is not finite from step {run.steps[bad]:,} on",
        first_step=int(run.steps[bad]),
        table=tables[0] if tables else None,
        rows=run.rating_of_largest_error(bad),
    )


def initialisation_too_large(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Compare the spread of the predictions before the first update with that of the ratings.

    The predictions of a trained model are spread out too, but its first error is small.
    """
    if run.initial is None or not run.initial.rating_std > 0 or not run.num_steps:
        return None
    if run.mean_squared_error[0] < limits.initial_error * run.initial.rating_std**2:
        return None
    ratio = run.initial.prediction_std / run.initial.rating_std
    if not ratio > limits.initial_spread:
        return None
    return Finding(
        "error" if ratio > limits.initial_spread_error else "warning",
        value=ratio,
        threshold=limits.initial_spread,
        message=f"before the first update the predictions spread {ratio:.2g} times as widely as the ratings",
        first_step=0,
    )


def dead_table(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Find a table whose gradient is exactly zero at every step from the first on."""
    for table in run.tables:
        zero = run.grad_norm(table) == 0
        steps = len(zero) if zero.all() else int(zero.argmin())
        if steps >= limits.dead_steps:
            return Finding(
                "error",
                value=float(steps),
                threshold=limits.dead_steps,
                message=f"the gradient of {table} is exactly zero in the first {steps:,} steps",
                first_step=int(run.steps[0]),
                table=table,
            )
    return None


def frozen_table(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Find a table that has a gradient but does not move, in a whole epoch or in the last sampled steps."""
    for table in run.tables:
        since = _still_since(run, table, limits)
        if since is None:
            continue
        return Finding(
            "error",
            value=float(run.steps[-1] - since + 1),
            threshold=0.0,
            message=f"{table} has a gradient but does not move from step {since:,} on",
            first_step=since,
            table=table,
        )
    return None


def _still_since(run: GradientHistory, table: str, limits: Thresholds) -> int | None:
    """Return the first step at which a frozen table was seen not to move; None if it is not frozen."""
    moved = run.sampled(table, "update_norm") != 0
    still = len(moved) if not moved.any() else int(moved[::-1].argmax())
    steps = [sample.step for sample in run.samples[len(moved) - still :]]
    if still >= limits.frozen_samples and run.grad_norm(table)[np.array(steps) - run.steps[0]].all():
        return steps[0]
    return next((run.first_step_of(epoch.epoch) for epoch in run.epochs if epoch.tables[table].frozen), None)


def dead_rows(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Find rows that are looked up again and again but never get a gradient."""
    found = [(epoch, name, table) for epoch in run.epochs for name, table in epoch.tables.items()]
    alive = [(epoch, name, table) for epoch, name, table in found if run.grad_norm(name).any()]
    worst = max(alive, key=lambda one: one[2].dead_rows / one[2].rows, default=None)
    if worst is None or worst[2].dead_rows <= limits.dead_row_fraction * worst[2].rows:
        return None
    epoch, name, table = worst
    share = table.dead_rows / table.rows
    return Finding(
        "error" if share > limits.dead_row_fraction_error else "warning",
        value=share,
        threshold=limits.dead_row_fraction,
        message=f"{table.dead_rows:,} of {table.rows:,} rows of {name} are looked up but never get a gradient",
        first_step=epoch.step,
        table=name,
        rows=run.rows_of(name, table.dead_row_examples),
    )


def id_coverage(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Compare the rows that have a training rating with the declared rows."""
    if run.initial is None or not run.tables:
        return None
    covered = {name: 1 - run.initial.cold_rows[name] / rows for name, rows in run.initial.rows.items()}
    name = min(covered, key=lambda table: covered[table])
    if covered[name] >= limits.coverage:
        return None
    cold = run.epochs[0].tables[name].cold_row_examples if run.epochs else ()
    return Finding(
        "error" if covered[name] < limits.coverage_error else "warning",
        value=covered[name],
        threshold=limits.coverage,
        message=f"{run.initial.cold_rows[name]:,} of {run.initial.rows[name]:,} rows of {name} have no rating",
        first_step=0,
        table=name,
        rows=run.rows_of(name, cold),
    )
