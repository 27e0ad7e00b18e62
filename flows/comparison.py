"""Runs held against each other."""

from prefect import flow

from cfmodel.config import TrackingSettings
from tasks.compare import compare_runs


@flow(name="comparison")
def comparison(runs: list[str], tracking: TrackingSettings = TrackingSettings()) -> str:
    """Compare two or more MLflow runs: settings, metrics, learning curves, gradients bucket by bucket.

    Args:
        runs: Ids, starts of ids, or names; the first is the base the others are held against.
        tracking: The store they are in, where the comparison is recorded too.

    Returns:
        Id of the MLflow run that holds the comparison.
    """
    return compare_runs(runs, tracking)
