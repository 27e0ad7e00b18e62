"""The report in MLflow's own UI, in a real Chromium."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mlflow_servers import Server
from viewer import Viewer, drawing, move

from cfmodel.tracking import Run

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def mlflow_ui(watched_runs: list[Run], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """MLflow's own server on the store."""
    server = Server(tmp_path_factory.mktemp("server"), store=watched_runs[0].tracking_uri)
    with server.running():
        yield server.uri


def test_the_report_works_inside_mlflow(
    browser: "Browser", mlflow_ui: str, watched_runs: list[Run], screenshots: Path
) -> None:
    run = watched_runs[1]
    page = f"{mlflow_ui}/#/experiments/{run.experiment_id}/runs/{run.run_id}/artifacts/gradients/report.html"
    viewer = Viewer(browser, page)
    frame = viewer.framed()
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
