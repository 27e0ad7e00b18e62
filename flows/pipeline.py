"""The flow from a source of ratings to a tracked, evaluated and promoted model."""

from typing import Annotated, Any

from prefect.client.schemas import State
from prefect.states import Completed
from pydantic import Field

from cfmodel.config import (
    Address,
    EvaluationSettings,
    HealthSettings,
    IngestSettings,
    MonitorSettings,
    PipelineSettings,
    PromotionSettings,
    RuntimeSettings,
    SplitSettings,
    TrackingSettings,
    TrainSettings,
)
from cfmodel.provenance import inputs_digest
from cfmodel.refs import RunRef
from cfmodel.system.addresses import WITHOUT_SECRETS
from flows.guarded import flow
from tasks.evaluate import evaluate_model
from tasks.finish import finish_run
from tasks.ingest import ingest_ratings, ingest_test_ratings
from tasks.new_data import NO_NEW_DATA, completed_run_of, is_scheduled
from tasks.promote import promote_model
from tasks.report import report_gradients
from tasks.split import split_ratings
from tasks.steps import Steps
from tasks.tracked_run import require_room, tracked_run
from tasks.train import train_model

#: Settings by dotted name. As for a source, none may be an address with a secret.
Overrides = Annotated[dict[str, Any], Field(json_schema_extra={"additionalProperties": {"pattern": WITHOUT_SECRETS}})]


@flow(name="pipeline")
def pipeline(
    source: Address = "synthetic",
    ingest: IngestSettings = IngestSettings(),
    split: SplitSettings = SplitSettings(),
    train: TrainSettings = TrainSettings(),
    monitor: MonitorSettings = MonitorSettings(),
    health: HealthSettings = HealthSettings(),
    evaluation: EvaluationSettings = EvaluationSettings(),
    promotion: PromotionSettings = PromotionSettings(),
    tracking: TrackingSettings = TrackingSettings(),
    runtime: RuntimeSettings = RuntimeSettings(),
    overrides: Overrides | None = None,
    resume: str | None = None,
    force: bool = False,
) -> RunRef | State:
    """Ingest ratings, split them, train a model, evaluate it and promote it if it is better, as one MLflow run.

    A scheduled run ends at once in the state "no new data" if data, settings and code are those of the last
    completed run.

    Args:
        source: `synthetic`, a file, folder or glob, or a public set by name such as `ml-1m`.
        ingest: How the source is read.
        split: How ratings are divided into train, val and test.
        train: The model and how it is trained.
        monitor: How closely training is measured.
        health: What an unhealthy training leads to.
        evaluation: What is measured on the test ratings.
        promotion: When a model replaces the champion.
        tracking: Where the run is recorded.
        runtime: Where to run.
        overrides: Dotted name to value, such as `{"train.epochs": 5}`. A section given on its own
            replaces the deployment's whole section; an override changes one setting of it.
        resume: Id or name of an unfinished MLflow run to resume. Without it, a run whose process was killed is
            resumed if it would end in the same weights.
        force: Whether a scheduled run trains even if nothing is new.
    """
    sections: dict[str, Any] = {"ingest": ingest, "split": split, "train": train, "monitor": monitor, "health": health}
    sections |= {"evaluation": evaluation, "promotion": promotion, "tracking": tracking, "runtime": runtime}
    settings = PipelineSettings.of(sections, overrides=overrides)
    require_room(settings.tracking)
    steps = Steps()
    ratings = steps(ingest_ratings, source, settings)
    test_source = settings.split.test_source
    held_out = steps(ingest_test_ratings, test_source, settings) if test_source else None
    inputs = inputs_digest(settings, ratings, held_out)
    if is_scheduled() and not force and (same := completed_run_of(inputs, settings.tracking)):
        return Completed(name=NO_NEW_DATA, message=f"MLflow run {same.run.run_id} was trained on the same")
    parts = steps(split_ratings, ratings, settings, test=held_out)
    with tracked_run(parts, settings, resume=resume) as opened:
        run = steps(train_model, opened, parts, settings)
        steps(evaluate_model, run, parts, settings)
        steps(report_gradients, run, parts, settings)
        finished = finish_run(run, steps.taken, settings, inputs=inputs)
    # Last: if the decision fails, the run is finished all the same, and `cfmodel promote` can decide later.
    steps(promote_model, finished, settings)
    return finished
