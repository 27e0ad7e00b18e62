"""`cfmodel run` while Prefect's or MLflow's server is away: training completes, and the command says so."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import held
import pytest
from held import hold, release
from mlflow import MlflowClient
from mlflow_servers import Server
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

from cfmodel.recommending.recommender import Recommender
from flows.server import prefect_server

SOURCE = "synthetic:users=300,movies=100,ratings=8000"
SMALL = ["--set", "train.epochs=4", "--set", "train.embedding_dim=4", "--set", "runtime.device=cpu"]


def start(
    *arguments: str, home: Path, program: Sequence[str] = ("-m", "cfmodel"), **environment: str
) -> subprocess.Popen[str]:
    """Start cfmodel in an empty folder, with nothing of ours or of Prefect's in the environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=home,
        env=clean | {"HOME": str(home), "PYTHONUNBUFFERED": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_if_the_prefect_server_is_killed_the_run_still_completes_and_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def remembered(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        servers.append(popen(*arguments, **options))  # type: ignore[call-overload]
        return servers[-1]

    with monkeypatch.context() as patch:
        patch.setattr("flows.server.subprocess.Popen", remembered)
        manager = prefect_server(tmp_path / "prefect")
        url = manager.__enter__()
    hold(tmp_path / "hold", "training")  # until the server is gone
    waiting = {"PREFECT_API_URL": url, "PREFECT_CLIENT_MAX_RETRIES": "1", "HOLD": str(tmp_path / "hold")}
    command = start("run", SOURCE, *SMALL, home=tmp_path, program=[held.__file__], **waiting)
    assert command.stdout is not None
    said = ""
    with command:
        for line in command.stdout:
            said += line
            if " 2/4 " in line and servers[0].poll() is None:
                os.killpg(servers[0].pid, signal.SIGKILL)
                servers[0].wait()
                release(tmp_path / "hold")
    assert command.returncode == 0, said
    manager.__exit__(None, None, None)
    assert f"The Prefect server at {url} went away during the run. Nothing of the run is missing in MLflow" in said
    assert "planted noise floor" in said
    assert "Traceback" not in said
    (run,) = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").search_runs(["1"])
    assert run.info.status == "FINISHED"
    assert "test/rmse" in run.data.metrics
    assert run.outputs.model_outputs
    Recommender.load(tmp_path / "data" / "models" / run.info.run_id)


def test_without_an_mlflow_server_the_run_fails_at_its_end_and_sync_sends_everything(
    prefect_api: str, tmp_path: Path
) -> None:
    (tmp_path / "mlflow").mkdir()
    server = Server(tmp_path / "mlflow")
    store = ["--set", f"tracking.uri={server.uri}"]
    options = [*SMALL, *store, "--set", "tracking.wait_seconds=0"]
    command = start("run", SOURCE, *options, home=tmp_path, PREFECT_API_URL=prefect_api)
    said, _ = command.communicate()
    assert command.returncode == 1, said
    assert "Traceback" not in said
    print(said)
    (folder,) = (tmp_path / "data" / "spool").iterdir()
    last = said.splitlines()[-1]
    assert last.startswith(f"Error: {server.uri}")
    assert f"the trained model is safe in data/models/{folder.name}" in last
    assert "cfmodel sync --set runtime.data_dir=data" in last
    Recommender.load(tmp_path / "data" / "models" / folder.name)

    with server.running():
        synced = start("sync", *store, home=tmp_path)
        assert "entries recorded" in synced.communicate()[0]
        assert synced.returncode == 0
        (run,) = server.client.search_runs(["1"])
        assert run.info.status == "FINISHED"
        assert [point.step for point in server.client.get_metric_history(run.info.run_id, "val/rmse")] == [
            0,
            1,
            2,
            3,
            4,
        ]
        assert {"test/rmse", "time/train_seconds", "best_val_rmse"} <= set(run.data.metrics)
        assert run.outputs.model_outputs
        kept = {entry.path for entry in server.client.list_artifacts(run.info.run_id)}
        assert {"metric_card.md", "plots", "gradients", "images"} <= kept
        told = run.data.tags["mlflow.note.content"]
        assert "Promotion: **not decided**: its model is not registered; `cfmodel promote --run`" in told
        decided = start("promote", "--run", run.info.run_id, *store, home=tmp_path).communicate()[0]
        assert re.search(r"cfmodel-synthetic version 1: (promoted|refused)", decided), decided
    with get_client(sync_client=True) as client:
        its_own = LogFilterFlowRunId(any_=[UUID(run.data.tags["prefect_flow_run_id"])])
        logged = [entry.message for entry in client.read_logs(LogFilter(flow_run_id=its_own))]
    assert any("The run continues; its records are kept in" in line for line in logged)
