"""Runs held against each other."""

from typing import Annotated

from prefect.client.schemas import State
from prefect.states import Completed
from pydantic import Field

from cfmodel.config import TrackingSettings
from cfmodel.gradients.report.comparison import MOST_RUNS
from flows.guarded import flow
from tasks.compare import compare_runs, newest_run_ids

NOTHING_TO_COMPARE = "nothing to compare"


@flow(name="comparison")
def comparison(
    runs: list[str] | None = None,
    newest: Annotated[int, Field(ge=2, le=MOST_RUNS)] = 2,
    tracking: TrackingSettings = TrackingSettings(),
) -> str | State:
    """Compare two or more MLflow runs: settings, metrics, learning curves, gradients bucket by bucket.

    Args:
        runs: Ids, starts of ids, or names; the first is the base the others are held against. None: the newest.
        newest: How many of the newest finished runs are compared where `runs` names none; the oldest is the base.
        tracking: The store they are in, where the comparison is recorded too.

    Returns:
        Id of the MLflow run that holds the comparison; or, where fewer than two runs have finished yet, a
        state of that name.
    """
    chosen = runs or newest_run_ids(newest, tracking)
    if runs is None and len(chosen) < 2:
        return Completed(name=NOTHING_TO_COMPARE, message=f"{len(chosen)} finished runs so far")
    return compare_runs(chosen, tracking)
