"""Train a model on a split, and record it."""

from prefect import task
from prefect.logging import get_run_logger

from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.gradients.health.early_stop import HealthWatch
from cfmodel.gradients.recording.archive import archived
from cfmodel.refs import RunRef, SplitRef
from cfmodel.tracking import OpenRun
from cfmodel.training.engines.choose import choose
from cfmodel.training.planning.devices import limit_threads, resolve_device
from cfmodel.training.resuming.adam_state import adam_state_path
from cfmodel.training.resuming.checkpoint_policy import CheckpointPolicy
from cfmodel.training.resuming.checkpoints import CheckpointFolder
from cfmodel.training.train import train
from tasks.prefect_output import record_logger
from tasks.retries import RETRIES


@task(name="train", **RETRIES)
def train_model(opened: OpenRun, split: SplitRef, settings: PipelineSettings) -> RunRef:
    """Train on the split, from the newest checkpoint if any, and record metrics and model in the MLflow run."""
    limit_threads(settings.runtime.threads)
    run, folder = opened.run, settings.runtime.data_dir / "models" / opened.run.run_id
    archive = tracking.archive_folder(settings.runtime.data_dir, run)
    device = resolve_device(settings.runtime.device)
    engine = choose(settings.train.engine, device)
    get_run_logger().info("training on %s with the engine %r: %s", device, engine.name, engine.reason)
    tracking.set_tags(run, {"engine": engine.name, "engine_reason": engine.reason})
    checkpoints = CheckpointPolicy(
        CheckpointFolder(opened.folder),
        identity=opened.identity,
        every_seconds=settings.runtime.checkpoint_seconds,
    )
    with (
        tracking.reported_on_error(run, archive, split),
        archived(archive) as keep,
        tracking.recorder(run) as record,
    ):
        trained = train(
            split,
            settings.train,
            device=device,
            on_record=record_logger(record, keep, HealthWatch(settings.health)),
            monitor=settings.monitor,
            checkpoints=checkpoints,
        )
        # Save before the last metrics are sent: if the store is away, the model is safe all the same.
        digest = trained.recommender.save(folder)
        trained.adam.save(adam_state_path(folder))
    tracking.log_metrics(run, trained.summary())
    model_uri = tracking.log_model(run, folder)
    return RunRef(
        run_id=run.run_id,
        tracking_uri=run.tracking_uri,
        experiment_id=run.experiment_id,
        journal_folder=run.journal_folder,
        model_path=folder,
        model_digest=digest,
        model_uri=model_uri,
    )
