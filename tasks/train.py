"""A split to a trained, recorded model."""

from prefect import task
from prefect.logging import get_run_logger

from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.gradients.health.early_stop import HealthWatch
from cfmodel.gradients.recording.archive import archived
from cfmodel.refs import RunRef, SplitRef
from cfmodel.tracking import OpenRun
from cfmodel.training.devices import limit_threads, resolve_device
from cfmodel.training.engines.choose import choose
from cfmodel.training.resuming.adam_state import memory_path
from cfmodel.training.resuming.checkpoint_policy import Keeper
from cfmodel.training.resuming.checkpoints import CheckpointFolder
from cfmodel.training.train import train
from tasks.prefect_output import report
from tasks.retries import is_worth_a_retry


@task(name="train", retries=2, retry_delay_seconds=10, retry_condition_fn=is_worth_a_retry)
def train_model(opened: OpenRun, split: SplitRef, settings: PipelineSettings) -> RunRef:
    """Train on the split, from the newest checkpoint on, and record all of it and the model in the MLflow run."""
    limit_threads(settings.runtime.threads)
    run, folder = opened.run, settings.runtime.data_dir / "models" / opened.run.run_id
    archive = tracking.archive_folder(settings.runtime.data_dir, run)
    device = resolve_device(settings.runtime.device)
    engine = choose(settings.train.engine, device)
    get_run_logger().info("training on %s with the engine %r: %s", device, engine.name, engine.reason)
    tracking.set_tags(run, {"engine": engine.name, "engine_reason": engine.reason})
    keeper = Keeper(
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
            on_record=report(record, keep, HealthWatch(settings.health)),
            monitor=settings.monitor,
            keeper=keeper,
        )
        # Saved before the last metrics are sent: a store that is away costs the record, not the model.
        digest = trained.recommender.save(folder)
        trained.memory.save(memory_path(folder))
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
