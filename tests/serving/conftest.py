"""Models really trained and recorded, some longer than others, on ratings with a planted truth."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import torch
from teams import Team

from cfmodel.config import PipelineSettings


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def promotion_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder all these trainings share, so that the ratings are made once."""
    return tmp_path_factory.mktemp("promotion")


@pytest.fixture
def team(mlflow_store: str, promotion_folder: Path) -> Team:
    """Return a registered model without versions."""
    own = {"promotion.model_name": f"team-{uuid4().hex[:8]}", "tracking.uri": mlflow_store}
    small = {"train.embedding_dim": 4, "train.learning_rate": 0.02, "train.refit": False}
    return Team(PipelineSettings.of(overrides=own | small), promotion_folder)
