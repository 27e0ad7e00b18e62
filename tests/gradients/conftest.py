"""What the tests of the pages share: pages to show in a browser, two real runs in a real store."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
import torch
from histories import history
from viewer import FRAME, VERDICTS, Viewer

from cfmodel import tracking
from cfmodel.config import IngestSettings, PipelineSettings, SplitSettings, TrackingSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.split import split
from cfmodel.gradients.health.verdicts import HealthReport
from cfmodel.gradients.recording.archive import archived
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.report.comparison import ComparedRun, RunComparison
from cfmodel.gradients.report.comparison_page import comparison_page
from cfmodel.gradients.report.run_report import gradient_report
from cfmodel.refs import SplitRef
from cfmodel.tracking import Run
from cfmodel.training.resuming.adam_state import adam_state_path
from cfmodel.training.train import train

if TYPE_CHECKING:
    from playwright.sync_api import Browser


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


@pytest.fixture(scope="session")
def report() -> str:
    """The report of a made-up training with two verdicts."""
    return gradient_report(history(epochs=6, scale=3.0), HealthReport(VERDICTS), title="Gradients", facts={"run": "a1"})


@pytest.fixture(scope="session")
def comparison() -> str:
    """The comparison of three made-up trainings."""
    made = [history(epochs=4 + number, scale=1.0 + 3 * number, seed=number) for number in range(3)]
    curves = {key: [(1, 1.0), (2, 0.9)] for key in ("train/rmse", "val/rmse")}
    runs = [
        ComparedRun(
            f"run-{number}",
            f"{number}" * 32,
            {"train.seed": f"{number}"},
            {"test/rmse": 0.9},
            curves,
            GradientHistory.of(records),
        )
        for number, records in enumerate(made)
    ]
    return comparison_page(RunComparison(tuple(runs)))


@pytest.fixture
def show(browser: "Browser") -> Iterator[Any]:
    """Serve a page's viewer on this machine and open it."""
    servers: list[ThreadingHTTPServer] = []
    opened: list[Viewer] = []

    def open_page(text: str, **context: Any) -> Viewer:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = {"/": FRAME, "/page": text}.get(self.path, "")
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *args: Any) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        opened.append(Viewer(browser, f"http://127.0.0.1:{server.server_port}/", **context))
        return opened[-1]

    yield open_page
    for viewer in opened:
        viewer.page.context.close()
    for server in servers:
        server.shutdown()
        server.server_close()
