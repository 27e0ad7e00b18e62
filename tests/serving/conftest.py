"""Models really trained and recorded, some longer than others, on ratings with a planted truth."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from teams import Team


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
    return Team.new(mlflow_store, promotion_folder)
