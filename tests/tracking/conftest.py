"""An MLflow store and a server for the session, runs in them, and what a run logs."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from mlflow_servers import Server, free_address

from cfmodel import tracking
from cfmodel.column_statistics import RatingScale
from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef
from cfmodel.tracking import Run
from cfmodel.tracking.outbox.deliver import DeliveryProgress


@pytest.fixture(scope="session")
def session_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")).running() as server:
        yield server


@pytest.fixture
def server(session_server: Server) -> Server:
    """A server that answers when the test begins."""
    if not session_server.answers():
        session_server.stop()
        session_server.start()
    return session_server


@pytest.fixture(autouse=True)
def _nothing_is_written_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield
    assert not list(folder.iterdir())


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try a store that is away again after a moment."""
    monkeypatch.setattr("cfmodel.tracking.outbox.deliver.RETRY_SECONDS", 0.2)
    monkeypatch.setattr("cfmodel.tracking.outbox.training_metrics._THREAD_SECONDS", 0.2)


@pytest.fixture
def client(mlflow_store: str) -> MlflowClient:
    """MLflow's client of the store in a file."""
    return MlflowClient(mlflow_store)


@pytest.fixture
def run(mlflow_store: str) -> Run:
    """A run without a journal in the store in a file."""
    return tracking.start_run(TrackingSettings(uri=mlflow_store), tags={"device": "cpu"})


@pytest.fixture
def journals(tmp_path: Path) -> Path:
    """Folder of the journals of all runs."""
    return tmp_path / "data" / "spool"


@pytest.fixture
def begin(server: Server, journals: Path) -> Callable[[], Run]:
    """Start a run with a journal on the server."""
    return lambda: tracking.start_run(TrackingSettings(uri=server.uri), journals=journals, tags={"device": "cpu"})


@pytest.fixture
def begun_while_away(server: Server, journals: Path) -> Run:
    """A run with one metric, started while the server was away."""
    run = tracking.start_run(TrackingSettings(uri=free_address()), journals=journals)
    tracking.log_metrics(run, {"test/rmse": 0.9})
    assert run.journal_folder is not None
    DeliveryProgress.read(run.journal_folder).update(run.journal_folder, store=server.uri, retry_at=0.0)
    return replace(run, tracking_uri=server.uri)


@pytest.fixture
def split(tmp_path: Path) -> SplitRef:
    return SplitRef(
        path=tmp_path / "split",
        digest="5" * 64,
        data_digest="d" * 64,
        source="synthetic",
        strategy="random",
        train_rows=80,
        val_rows=10,
        test_rows=20,
        dropped_rows=0,
        users=3,
        movies=4,
        global_mean=3.5,
        rating_min=0.5,
        rating_max=5.0,
        seconds=0.1,
    )


@pytest.fixture(scope="session")
def recommender() -> Recommender:
    generator = torch.Generator().manual_seed(1)
    model = CollaborativeFiltering(3, 4, 8, scale=RatingScale(3.5), init_std=0.5, generator=generator)
    torch.nn.init.normal_(model.user_biases.weight, generator=generator)
    return Recommender(model, Vocabulary.of(["007", "7", "ann"]), Vocabulary.of(["1", "2", "3", "4"]), 0.5, 5.0)


@pytest.fixture
def saved(recommender: Recommender, tmp_path: Path) -> Path:
    """Folder of a saved recommender."""
    recommender.save(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def describe(split: SplitRef) -> Callable[[Run], None]:
    """Log what is known of a run before it trains."""

    def described(run: Run) -> None:
        tracking.log_settings(run, PipelineSettings(), source="synthetic")
        tracking.log_split(run, split)

    return described
