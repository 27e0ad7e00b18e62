"""The end of a run: how long it took, what came out, where to look."""

from collections.abc import Sequence

from prefect import task
from prefect.artifacts import create_link_artifact, create_table_artifact

from cfmodel import terminal, tracking
from cfmodel.config import PipelineSettings
from cfmodel.refs import RunRef
from cfmodel.summary import accuracy_rows
from tasks.reporting import publish
from tasks.steps import Step


@task(name="finish")
def finish_run(run: RunRef, steps: Sequence[Step], settings: PipelineSettings) -> RunRef:
    """Record how long each step took, end the MLflow run, and show the result on Prefect's page."""
    with tracking.ended_on_error(run):
        tracking.log_metrics(run, {f"time/{step.name}_seconds": step.seconds for step in steps})
        tracking.set_tags(run, {f"step.{step.name}": "reused" if step.reused else "run" for step in steps})
        tracking.end_run(run)
    recorded = tracking.require_recorded(run, wait_seconds=settings.tracking.wait_seconds)
    run = run.known_as(recorded.run_id, recorded.experiment_id, recorded.model_id)
    summary = tracking.read_run(run.tracking_uri, run.run_id)
    errors = accuracy_rows(summary.metrics)
    publish(create_table_artifact, key="accuracy", table=errors, description="Error on the test ratings")
    publish(create_link_artifact, key="mlflow-run", link=tracking.run_url(run), link_text="This run in MLflow")
    terminal.current().end(run)
    return run
