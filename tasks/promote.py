"""Register a trained model as the challenger, and compare it with the champion."""

from prefect import task
from prefect.artifacts import create_markdown_artifact

from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.promotion.decision import Decision
from cfmodel.promotion.decision_text import decision_markdown
from cfmodel.refs import RunRef
from tasks.prefect_output import publish_artifact, record_logger


@task(name="promote")
def promote_model(run: RunRef, settings: PipelineSettings) -> Decision | None:
    """Register the model as the challenger, and decide on it unless the settings leave that to `cfmodel promote`.

    In any case Prefect's page of the flow run ends with the description of the MLflow run.
    """
    try:
        return _decision(run, settings)
    finally:
        publish_artifact(_publish_description, key="result", run=run)


def _decision(run: RunRef, settings: PipelineSettings) -> Decision | None:
    version = tracking.register_challenger(run, run.model_uri, settings.promotion)
    if not settings.promotion.automatic:
        return None
    decision = tracking.promote(settings.at(run.tracking_uri), version)
    record_logger()(decision)
    publish_artifact(
        create_markdown_artifact, key="promotion", markdown=decision_markdown(decision), description=version.uri
    )
    return decision


def _publish_description(key: str, run: RunRef) -> None:
    page = tracking.read_run(run.tracking_uri, run.run_id).tags[tracking.DESCRIPTION]
    create_markdown_artifact(key=key, markdown=page, description="Result of this run")
