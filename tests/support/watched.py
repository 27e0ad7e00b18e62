"""Two real runs in a real store, with all that is recorded of their gradients."""

from pathlib import Path

import pytest
import torch

from cfmodel import tracking
from cfmodel.config import IngestSettings, PipelineSettings, SplitSettings, TrackingSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.split import split
from cfmodel.gradients.recording.archive import archived
from cfmodel.refs import SplitRef
from cfmodel.tracking import Run
from cfmodel.training.resuming.adam_state import adam_state_path
from cfmodel.training.train import train


@pytest.fixture(scope="session")
def trained_split(tmp_path_factory: pytest.TempPathFactory) -> SplitRef:
    """A small split."""
    folder = tmp_path_factory.mktemp("gradients")
    data = ingest("synthetic:users=200,movies=80,ratings=6000", IngestSettings(), folder=folder)
    return split(data, SplitSettings(), folder=folder)


@pytest.fixture(scope="session")
def watched_runs(mlflow_store: str, trained_split: SplitRef, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Two finished runs with all that is recorded of their gradients, the second with a far too high learning rate."""
    folder = tmp_path_factory.mktemp("runs")
    return [_run(mlflow_store, trained_split, folder, rate) for rate in (0.01, 3.0)]


def _run(store: str, made: SplitRef, folder: Path, learning_rate: float) -> Run:
    chosen = {"train.epochs": 2, "train.embedding_dim": 8, "train.refit": False, "train.learning_rate": learning_rate}
    settings = PipelineSettings.of(overrides=chosen)
    run = tracking.start_run(TrackingSettings(uri=store, experiment="gradients"))
    archive, model = tracking.archive_folder(folder, run), folder / "models" / run.run_id
    tracking.log_settings(run, settings, source=made.source)
    with archived(archive) as keep, tracking.recorder(run) as record:

        def on_record(each: object) -> None:
            keep(each)
            record(each)

        trained = train(made, settings.train, device=torch.device("cpu"), on_record=on_record)
    trained.recommender.save(model)
    trained.adam.save(adam_state_path(model))
    tracking.log_gradients(run, archive, made, model=model)
    tracking.end_run(run)
    return run
