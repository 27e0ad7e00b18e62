"""The flow that compares runs."""

from typing import Annotated

from prefect.client.schemas import State
from prefect.states import Completed
from pydantic import Field

from cfmodel.config import TrackingSettings
from cfmodel.gradients.report.comparison import MOST_RUNS
from flows.guarded import flow
from tasks.compare import compare_runs, newest_run_ids

_NOTHING_TO_COMPARE = "nothing to compare"


@flow(name="comparison")
def comparison(
    runs: list[str] | None = None,
    newest: Annotated[int, Field(ge=2, le=MOST_RUNS)] = 2,
    tracking: TrackingSettings = TrackingSettings(),
) -> str | State:
    """Compare two or more MLflow runs: settings, metrics, learning curves, gradients bucket by bucket.

    Args:
        runs: Ids, the first characters of ids, or names; the others are compared with the first. None: the newest.
        newest: How many of the newest finished runs to compare where `runs` is None; the oldest is the first.
        tracking: The store of the runs, where the comparison is recorded too.

    Returns:
        Id of the MLflow run that holds the comparison; a state named "nothing to compare" if fewer than two runs
        have finished.
    """
    chosen = runs or newest_run_ids(newest, tracking)
    if runs is None and len(chosen) < 2:
        return Completed(name=_NOTHING_TO_COMPARE, message=f"{len(chosen)} finished runs so far")
    return compare_runs(chosen, tracking)
