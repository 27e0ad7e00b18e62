"""A flow around whatever a test calls, and one small run of all tasks of the pipeline, step by step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from mlflow import MlflowClient
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, ArtifactFilterKey
from prefect.runtime import flow_run

from cfmodel import terminal
from cfmodel.config import PipelineSettings
from cfmodel.promotion.decision import Decision
from cfmodel.refs import DatasetRef, RunRef, SplitRef
from tasks.evaluate import evaluate_model
from tasks.finish import finish_run
from tasks.ingest import ingest_ratings
from tasks.promote import promote_model
from tasks.report import report_gradients
from tasks.split import split_ratings
from tasks.steps import Step
from tasks.tracked_run import tracked_run
from tasks.train import train_model


class Lines(terminal.SilentScreen):
    """A screen that keeps the lines printed on it, and the records shown."""

    def __init__(self) -> None:
        self.printed: list[str] = []
        self.records: list[Any] = []

    def print_line(self, text: str) -> None:
        self.printed.append(text)

    def show(self, record: Any) -> None:
        self.records.append(record)


@dataclass
class Pieces:
    """The result of each task of one run of the pipeline, and where to look its records up."""

    settings: PipelineSettings
    screen: Lines = field(default_factory=Lines)
    flow_run: str = ""
    data: DatasetRef | None = None
    parts: SplitRef | None = None
    run: RunRef | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    decision: Decision | None = None

    def make(self) -> None:
        """Call the tasks, one after another."""
        self.flow_run = str(flow_run.get_id())
        self.data = ingest_ratings("synthetic:users=120,movies=60,ratings=3000", self.settings)
        self.parts = split_ratings(self.data, self.settings)
        with tracked_run(self.parts, self.settings) as opened:
            run = train_model(opened, self.parts, self.settings)
            self.metrics = evaluate_model(run, self.parts, self.settings)
            report_gradients(run, self.parts, self.settings)
            steps = [Step("ingest", 1.5, reused=True), Step("train", 2.5, reused=False)]
            self.run = finish_run(run, steps, self.settings, inputs="abc")
        self.decision = promote_model(self.run, self.settings)

    @property
    def recorded(self) -> Any:
        """The MLflow run."""
        assert self.run is not None
        return MlflowClient(self.run.tracking_uri).get_run(self.run.run_id)

    def artifact(self, key: str) -> str:
        """Return an artifact on Prefect's page of the flow run."""
        return artifact_of(self.flow_run, key)


def artifact_of(flow_run_id: str, key: str) -> str:
    this_run = ArtifactFilterFlowRunId(any_=[UUID(flow_run_id)])
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter(flow_run_id=this_run, key=ArtifactFilterKey(any_=[key]))
        (found,) = client.read_artifacts(artifact_filter=wanted)
    return str(found.data)


@pytest.fixture(name="artifact_of")
def _artifact_of() -> Callable[[str, str], str]:
    """Return an artifact on Prefect's page of a flow run."""
    return artifact_of


@pytest.fixture
def in_flow(prefect_api: str) -> Callable[[Callable[[], Any]], Any]:
    """Call a function inside a flow run and return its result."""
    return lambda function: flow(name="test")(function)()


@pytest.fixture
def screen() -> Iterator[Lines]:
    """The current screen for the length of a test."""
    with terminal.use_screen(Lines()):
        found = terminal.current_screen()
        assert isinstance(found, Lines)
        yield found


@pytest.fixture(scope="session")
def pieces(
    prefect_api: str, make_mlflow_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory
) -> Pieces:
    """One run of all tasks."""
    folder = tmp_path_factory.mktemp("pieces")
    small = {"train.epochs": 4, "train.embedding_dim": 4, "train.learning_rate": 0.02, "runtime.device": "cpu"}
    here = {"runtime.data_dir": str(folder / "data"), "tracking.uri": make_mlflow_store(folder)}
    made = Pieces(PipelineSettings.of(overrides=small | here))
    with terminal.use_screen(made.screen):
        flow(name="pieces")(made.make)()
    return made
