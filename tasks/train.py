"""A split to a trained, recorded model: the task that starts the MLflow run."""

from prefect import task
from prefect.runtime import flow_run

from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.gradients.archive import archived
from cfmodel.gradients.watch import HealthWatch
from cfmodel.refs import RunRef, SplitRef
from cfmodel.training.devices import limit_threads, resolve_device
from cfmodel.training.memory import memory_path
from cfmodel.training.train import train
from tasks.reporting import report


@task(name="train")
def train_model(split: SplitRef, settings: PipelineSettings) -> RunRef:
    """Train on the split, streaming every epoch to a new MLflow run, and record the model there."""
    limit_threads(settings.runtime.threads)
    device = resolve_device(settings.runtime.device)
    tags = {"device": str(device), "prefect_flow_run_id": str(flow_run.get_id())}
    run = tracking.start_run(settings.tracking, spool=tracking.spool_folder(settings.runtime.data_dir), tags=tags)
    tracking.sync_earlier(settings.tracking, run)
    folder = settings.runtime.data_dir / "models" / run.run_id
    archive = tracking.archive_folder(settings.runtime.data_dir, run)
    with tracking.ended_on_error(run):
        tracking.log_settings(run, settings, source=split.source)
        tracking.log_split(run, split)
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
        spool=run.spool,
        model_path=folder,
        model_digest=digest,
        model_uri=model_uri,
    )
