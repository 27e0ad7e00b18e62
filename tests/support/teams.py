"""A registered model for each test, and models really trained for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import torch

from cfmodel import tracking
from cfmodel.config import IngestSettings, PipelineSettings, SplitSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.split import split
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef
from cfmodel.tracking import Run, Version
from cfmodel.training.train import train

SOURCE = "synthetic:users=200,movies=80,ratings=8000"


@dataclass(frozen=True)
class Team:
    """A registered model and an experiment of its own, and how to train challengers for it."""

    settings: PipelineSettings
    folder: Path

    @classmethod
    def new(cls, store: str, folder: Path) -> "Team":
        """Return a registered model without versions."""
        own = {"promotion.model_name": f"team-{uuid4().hex[:8]}", "tracking.uri": store}
        own |= {"tracking.experiment": f"team-{uuid4().hex[:8]}", "runtime.data_dir": str(folder)}
        small = {"train.embedding_dim": 4, "train.learning_rate": 0.02, "train.refit": False}
        return cls(PipelineSettings.of(overrides=own | small), folder)

    def split(self, **changes: object) -> SplitRef:
        """Split the ratings, with the default settings unless changed."""
        ratings = ingest(SOURCE, IngestSettings(), folder=self.folder)
        return split(ratings, SplitSettings(**changes), folder=self.folder)  # type: ignore[arg-type]

    def challenger(self, *, epochs: int, **known: Any) -> Version:
        """Train a model, as `trained` does, and register it as the challenger."""
        run, model = self.trained(epochs=epochs, **known)
        return tracking.register_challenger(run, model, self.settings.promotion)

    def trained(
        self, *, epochs: int, parts: SplitRef | None = None, health: str = "healthy", source: str = SOURCE
    ) -> tuple[Run, str]:
        """Train a model on the split and record it; return its run and its address."""
        parts = parts or self.split()
        settings = self.settings.model_copy(update={"train": self.settings.train.model_copy(update={"epochs": epochs})})
        run = tracking.start_run(settings.tracking, tags={"health.verdict": health})
        tracking.log_settings(run, settings, source=source)
        tracking.log_split(run, parts)
        trained = train(parts, settings.train, device=torch.device("cpu"))
        trained.recommender.save(self.saved(run))
        model = tracking.log_model(run, self.saved(run))
        tracking.end_run(run)
        return run, model

    def saved(self, run: Run) -> Path:
        """Folder of a run's model."""
        return self.folder.resolve() / "models" / run.run_id

    def recommender_of(self, version: Version) -> Recommender:
        """Load the model of a version as training saved it."""
        return Recommender.load(self.folder / "models" / version.run_id)

    def champion(self) -> str | None:
        """Number of the version that is the champion now."""
        found = tracking.find_version(tracking.resolve_uri(self.settings.tracking), self.name, tracking.CHAMPION)
        return None if found is None else found.number

    @property
    def name(self) -> str:
        """The registered model's."""
        return self.settings.promotion.model_name


@pytest.fixture(scope="session")
def promotion_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all trainings share, so that the ratings are ingested once."""
    return tmp_path_factory.mktemp("promotion")


@pytest.fixture
def team(mlflow_store: str, promotion_folder: Path) -> Team:
    """Return a registered model without versions."""
    return Team.new(mlflow_store, promotion_folder)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
