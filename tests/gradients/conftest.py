"""What the tests of the pages share: pages to show in a browser, two real runs in a real store."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from histories import history
from viewer import FRAME, VERDICTS, Viewer
from watched import trained_split, watched_runs  # noqa: F401 - fixtures

from cfmodel.gradients.health.verdicts import HealthReport
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.report.comparison import ComparedRun, RunComparison
from cfmodel.gradients.report.comparison_page import comparison_page
from cfmodel.gradients.report.run_report import gradient_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser


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
