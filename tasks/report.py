"""Judge the gradients of a training, and record verdicts and report."""

import logging

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.logging import get_run_logger

from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.gradients.health.early_stop import require_health
from cfmodel.refs import RunRef, SplitRef
from tasks.prefect_output import publish_artifact

_LEVELS = {"error": logging.ERROR, "warning": logging.WARNING, "info": logging.INFO}


@task(name="report")
def report_gradients(run: RunRef, split: SplitRef, settings: PipelineSettings) -> None:
    """Judge the training by its gradients, and record verdicts, histograms and report in the MLflow run."""
    if not settings.monitor.enabled:
        return
    with tracking.ended_on_error(run):
        archive = tracking.archive_folder(settings.runtime.data_dir, run)
        health = tracking.log_gradients(run, archive, split, model=run.model_path)
        for verdict in health.verdicts:
            get_run_logger().log(_LEVELS[verdict.severity], verdict.sentence())
        rows = health.as_rows() or [{"severity": health.overall, "what was seen": "no rule found anything"}]
        about = f"Health of the training: {health.overall}"
        publish_artifact(create_table_artifact, key="health", table=rows, description=about)
        if settings.health.on_unhealthy == "stop":
            require_health(health, where=f"run {run.run_id}")
