"""The address of a store, its creation, and its errors in words."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow_servers import free_address, hung_server

from cfmodel import tracking
from cfmodel.config import TrackingSettings
from cfmodel.errors import TrackingError

START = """
import sys
from cfmodel import tracking
from cfmodel.config import TrackingSettings
run = tracking.start_run(TrackingSettings(uri=sys.argv[1]))
tracking.end_run(run)
"""


@dataclass(frozen=True)
class Store:
    """A store that two processes created at once, and their output."""

    uri: str
    statuses: list[int]
    output: str

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.uri)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{folder}/kept/mlflow.db"
    command = [sys.executable, "-W", "error", "-c", START, uri]
    processes = [
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    output = "".join(process.communicate()[0] for process in processes)
    return Store(uri, [process.returncode for process in processes], output)


def test_two_processes_create_one_store_at_once_without_output(store: Store) -> None:
    assert (store.statuses, store.output) == ([0, 0], "")
    runs = store.client.search_runs([store.client.get_experiment_by_name("cfmodel").experiment_id])
    assert len([run for run in runs if run.info.status == "FINISHED"]) >= 2


def test_artifacts_lie_beside_the_database(store: Store) -> None:
    run = tracking.start_run(TrackingSettings(uri=store.uri))
    folder = Path(store.uri.removeprefix("sqlite:///")).parent
    assert store.client.get_run(run.run_id).info.artifact_uri.startswith((folder / "mlruns").as_uri())


def test_a_server_that_is_away_is_tried_once_and_named() -> None:
    # By default MLflow would retry for minutes.
    with hung_server(hangs_up=True) as (uri, calls):
        with pytest.raises(TrackingError, match="starting a run failed: "):
            tracking.start_run(TrackingSettings(uri=uri))
        assert len(calls) == 1
    uri = free_address()
    with pytest.raises(TrackingError, match="starting a run failed: ") as refusal:
        tracking.start_run(TrackingSettings(uri=uri))
    assert str(refusal.value).startswith(f"{uri}: ")
    assert "start the server there" in str(refusal.value)


def test_a_plain_folder_is_refused_with_the_remedy(tmp_path: Path) -> None:
    for uri in (str(tmp_path / "mlruns"), (tmp_path / "mlruns").as_uri()):
        with pytest.raises(TrackingError, match=r"set tracking\.uri to sqlite:///mlflow\.db"):
            tracking.start_run(TrackingSettings(uri=uri))


def test_a_file_that_is_not_a_database_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("these are notes, not a database, and long enough to look at\n" * 20)
    with pytest.raises(TrackingError, match="starting a run failed: file is not a database; let this"):
        tracking.start_run(TrackingSettings(uri=f"sqlite:///{path}"))


def test_a_password_in_the_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = free_address().replace("http://", "http://me:secret@")
    with pytest.raises(TrackingError) as refusal:
        tracking.read_run(address, "0" * 32)
    assert "secret" not in str(refusal.value)
    assert "//***@127.0.0.1" in str(refusal.value)


def test_the_address_comes_from_the_setting_the_environment_or_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Path.cwd()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking.resolve_uri(TrackingSettings()) == f"sqlite:///{here}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///runs/a.db?timeout=5")
    assert tracking.resolve_uri(TrackingSettings()) == f"sqlite:///{here}/runs/a.db?timeout=5"
    assert tracking.resolve_uri(TrackingSettings(uri="http://host:5000")) == "http://host:5000"
    assert tracking.resolve_uri(TrackingSettings(uri=f"sqlite:///{tmp_path}/b.db")) == f"sqlite:///{tmp_path}/b.db"


@pytest.mark.parametrize(
    ("given", "disabled"),
    [
        ({}, True),
        ({"DO_NOT_TRACK": "1"}, True),
        ({"DO_NOT_TRACK": "false"}, False),
        ({"MLFLOW_DISABLE_TELEMETRY": "false"}, False),
    ],
)
def test_usage_reporting_is_off_unless_asked_for(
    given: dict[str, str], disabled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cfmodel.tracking import store as connection

    for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")  # so that whatever is set below is taken back
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    connection.set_defaults()
    assert (os.environ.get("MLFLOW_DISABLE_TELEMETRY", "false") == "true") is disabled


def test_importing_tracking_imports_neither_mlflow_nor_torch() -> None:
    code = "import sys, cfmodel.tracking; assert not {'mlflow', 'torch', 'pandas', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
