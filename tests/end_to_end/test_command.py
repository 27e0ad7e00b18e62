"""`cfmodel run` as a person runs it: a process of its own, an empty home, nothing else started."""

import re
import subprocess
from pathlib import Path

import pytest
from cfmodel_process import run_cfmodel
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.server import prefect_server

SMALL = ["--set", "train.epochs=2", "--set", "train.embedding_dim=4", "--set", "runtime.device=cpu"]
COMPLAINTS = re.compile(r"warning|traceback|error", re.IGNORECASE)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def runs(home: Path) -> list[subprocess.CompletedProcess[str]]:
    """The same command twice."""
    source = "synthetic:users=300,movies=100,ratings=8000"
    return [run_cfmodel("run", source, *SMALL, home=home) for _ in range(2)]


def test_a_good_run_prints_no_warning_and_no_traceback(runs: list[subprocess.CompletedProcess[str]]) -> None:
    for run in runs:
        assert run.returncode == 0, run.stderr
        assert run.stderr == ""
        assert not COMPLAINTS.search(run.stdout), run.stdout


def test_it_ends_with_the_table_and_the_way_to_mlflow(runs: list[subprocess.CompletedProcess[str]]) -> None:
    for expected in ("model", "damped biases", "global mean", "planted noise floor", "RMSE", "MAE"):
        assert expected in runs[0].stdout
    assert re.search(r"/#/experiments/\d+/runs\?workflowType=machine_learning", runs[0].stdout)
    assert runs[0].stdout.endswith("Open it with: cfmodel ui\n")  # `make ui` in a checkout


def test_it_prints_loss_val_rmse_and_each_tables_norm_per_epoch(runs: list[subprocess.CompletedProcess[str]]) -> None:
    assert re.search(r"^\s+1/2( +\d+\.\d{4}){6}", runs[0].stdout, re.MULTILINE), runs[0].stdout
    assert re.search(r"^\s+2/2( +\d+\.\d{4}){6}", runs[0].stdout, re.MULTILINE)


def test_a_second_run_reuses_ingest_and_split_and_prints_so(runs: list[subprocess.CompletedProcess[str]]) -> None:
    assert "reused" not in runs[0].stdout
    assert re.search(r"^ingest .*\(reused\)$", runs[1].stdout, re.MULTILINE)
    assert re.search(r"^split .*\(reused\)$", runs[1].stdout, re.MULTILINE)


def test_every_task_run_is_in_prefects_database_afterwards(
    runs: list[subprocess.CompletedProcess[str]], home: Path
) -> None:
    assert all(run.returncode == 0 for run in runs)
    steps = ["evaluate", "finish", "ingest", "promote", "report", "split", "train"]
    with (
        prefect_server(home / ".prefect") as url,
        temporary_settings({PREFECT_API_URL: url}),
        get_client(sync_client=True) as client,
    ):
        flow_runs = client.read_flow_runs()
        assert [flow_run.state_name for flow_run in flow_runs] == ["Completed", "Completed"]
        for flow_run in flow_runs:
            this_run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id]))
            task_runs = client.read_task_runs(flow_run_filter=this_run)
            assert sorted(task_run.name.rpartition("-")[0] for task_run in task_runs) == steps
            assert {task_run.state_name for task_run in task_runs} == {"Completed"}


def test_a_split_by_time_without_timestamps_names_the_setting_to_change(home: Path, prefect_api: str) -> None:
    (home / "untimed.csv").write_text("user_id,movie_id,rating\n" + "\n".join(f"{n},{n},3" for n in range(30)))
    by_time = ["--set", "split.strategy=temporal"]
    refused = run_cfmodel("run", "untimed.csv", *by_time, home=home, PREFECT_API_URL=prefect_api)
    assert refused.returncode == 1
    assert "split.strategy" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
