"""A trained model put forward as the challenger, and held against the champion."""

from prefect import task
from prefect.artifacts import create_markdown_artifact

from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.promotion.decision import Decision
from cfmodel.promotion.decision_text import decision_markdown
from cfmodel.refs import RunRef
from tasks.prefect_output import publish, report


@task(name="promote")
def promote_model(run: RunRef, settings: PipelineSettings) -> Decision | None:
    """Make the model a version and the challenger; decide on it unless that is left to `cfmodel promote`.

    Whatever comes of that, Prefect's page of the flow run ends with the description of the MLflow run.
    """
    try:
        return _decision(run, settings)
    finally:
        publish(_show_description, key="result", run=run)


def _decision(run: RunRef, settings: PipelineSettings) -> Decision | None:
    version = tracking.register_challenger(run, run.model_uri, model_name=settings.promotion.model_name)
    if not settings.promotion.automatic:
        return None
    decision = tracking.promote(settings.at(run.tracking_uri), version.number)
    report()(decision)
    publish(create_markdown_artifact, key="promotion", markdown=decision_markdown(decision), description=version.uri)
    return decision


def _show_description(key: str, run: RunRef) -> None:
    told = tracking.read_run(run.tracking_uri, run.run_id)
    page = told.tags[tracking.DESCRIPTION]
    create_markdown_artifact(key=key, markdown=page, description="What came of this run")
