"""The same registry behind an MLflow server, which takes other addresses of a model than a database does."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from teams import Team

from cfmodel import tracking

START_SECONDS = 120


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db"],
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            cwd=tmp_path,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _await(process, url, tmp_path / "log")
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{url}/health", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    pytest.fail(f"the server is not up: {log.read_text()[-2000:]}")


def test_a_model_on_a_server_is_promoted_rolled_back_and_loaded(server: str, promotion_folder: Path) -> None:
    team = Team.new(server, promotion_folder)
    first = team.put_forward(epochs=4)
    assert tracking.promote(team.settings).is_promotion
    second = team.put_forward(epochs=12)
    assert tracking.promote(team.settings).is_promotion
    assert team.champion() == second.number
    assert tracking.rollback(team.settings).version == first.number
    assert tracking.load_model(team.settings).name == f"{team.name} version {first.number} (champion)"
