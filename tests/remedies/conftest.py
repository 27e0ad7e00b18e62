"""Ratings, a split and a model, made once, for refusals that need some."""

from pathlib import Path

import pytest
import torch
from teams import _one_thread, promotion_folder, team  # noqa: F401 - fixtures

from cfmodel.config import IngestSettings, SplitSettings, TrainSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.split import split
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef
from cfmodel.training.train import train

SOURCE = "synthetic:users=60,movies=40,ratings=1200"


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> SplitRef:
    folder = tmp_path_factory.mktemp("remedies")
    return split(ingest(SOURCE, IngestSettings(), folder=folder), SplitSettings(), folder=folder)


@pytest.fixture(scope="session")
def trained(parts: SplitRef) -> Recommender:
    small = TrainSettings(epochs=2, embedding_dim=2, learning_rate=0.02, refit=False)
    return train(parts, small, device=torch.device("cpu")).recommender


@pytest.fixture
def saved(trained: Recommender, tmp_path: Path) -> Path:
    """Folder of the model."""
    trained.save(tmp_path / "model")
    return tmp_path / "model"
