"""Compare runs, and record the comparison as an MLflow run."""

from collections.abc import Sequence

from prefect import task
from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.logging import get_run_logger

from cfmodel import tracking
from cfmodel.config import TrackingSettings
from cfmodel.gradients.report.comparison import summary_rows
from tasks.prefect_output import publish_artifact


@task(name="compare")
def compare_runs(runs: Sequence[str], settings: TrackingSettings) -> str:
    """Compare runs and return the id of the MLflow run that holds the comparison."""
    comparison, run = tracking.compare_runs(settings, runs)
    header = ["", *(compared.label for compared in comparison.runs)]
    rows = [dict(zip(header, row, strict=True)) for row in summary_rows(comparison)]
    publish_artifact(
        create_table_artifact, key="comparison", table=rows, description="Settings that differ, and results"
    )
    if (note := comparison.data_note()) is not None:
        get_run_logger().warning(note)
    publish_artifact(
        create_link_artifact, key="mlflow-comparison", link=tracking.run_url(run), link_text="The comparison in MLflow"
    )
    return run.run_id


@task(name="newest-runs")
def newest_run_ids(count: int, settings: TrackingSettings) -> list[str]:
    """Return the ids of the newest finished runs, oldest first."""
    return [found.run.run_id for found in reversed(tracking.newest_runs(settings, limit=count, finished=True))]
