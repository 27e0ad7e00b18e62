"""An MLflow server for the session, and what a run has to tell it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from mlflow_servers import Server

from cfmodel import tracking
from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef
from cfmodel.tracking import Run
from cfmodel.training.epoch_records import TABLES, EpochRecord


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


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "data" / "spool"


@pytest.fixture
def begin(server: Server, spool: Path) -> Callable[[], Run]:
    """Begin a run that has a journal."""
    return lambda: tracking.start_run(TrackingSettings(uri=server.uri), journals=spool, tags={"device": "cpu"})


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
    model = CollaborativeFiltering(3, 4, 8, global_mean=3.5, init_std=0.5, generator=generator)
    torch.nn.init.normal_(model.user_biases.weight, generator=generator)
    return Recommender(model, Vocabulary.of(["007", "7", "ann"]), Vocabulary.of(["1", "2", "3", "4"]), 0.5, 5.0)


@pytest.fixture
def saved(recommender: Recommender, tmp_path: Path) -> Path:
    """Folder of a saved recommender."""
    recommender.save(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def describe(split: SplitRef) -> Callable[[Run], None]:
    """Tell what is known of a run before it trains."""

    def described(run: Run) -> None:
        tracking.log_settings(run, PipelineSettings(), source="synthetic")
        tracking.log_split(run, split)

    return described


@pytest.fixture
def epoch() -> Callable[[int], EpochRecord]:
    """Make the record of an epoch."""
    return lambda number: EpochRecord(
        phase="fit",
        epoch=number,
        epochs=5,
        step=10 * number,
        train_loss=1.0 / number,
        train_rmse=0.8,
        val_rmse=0.9,
        best=number == 1,
        learning_rate=0.001,
        grad_norms=dict.fromkeys(TABLES, 0.25),
        total_grad_norm=0.5,
        clipped_fraction=0.1,
        seconds=0.2,
        ratings_per_second=1e6,
    )
