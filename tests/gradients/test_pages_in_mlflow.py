"""The report in MLflow's own UI, in a real Chromium."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from viewer import Viewer, drawing, move

from cfmodel.tracking import Run

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def mlflow_ui(watched_runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's own server on the store."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", watched_runs[0].tracking_uri]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    folder = tmp_path_factory.mktemp("server")
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        await_answer(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def await_answer(address: str) -> None:
    for _ in range(300):
        try:
            urlopen(address, timeout=2).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(f"{address} does not answer")


def test_the_report_works_inside_mlflow(
    browser: "Browser", mlflow_ui: str, watched_runs: list[Run], screenshots: Path
) -> None:
    run = watched_runs[1]
    page = f"{mlflow_ui}/#/experiments/{run.experiment_id}/runs/{run.run_id}/artifacts/gradients/report.html"
    viewer = Viewer(browser, page)
    frame = viewer.framed(wait=60_000)
    sandbox = viewer.page.get_attribute("iframe", "sandbox")
    assert sandbox == "allow-scripts"
    before = drawing(frame, "user_embeddings-bars")
    move(frame, 0.0)
    assert drawing(frame, "user_embeddings-bars") != before
    assert "Learning rate too high" in frame.inner_text("#health")
    assert "descent" in frame.inner_text("#lesson")
    viewer.page.screenshot(path=screenshots / "report-in-mlflow.png")
    assert viewer.complaints == []
    viewer.page.context.close()
