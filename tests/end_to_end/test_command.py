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


def test_equal_ratings_without_a_home_folder_end_at_zero_without_a_warning(tmp_path: Path) -> None:
    rows = [f"{user},{movie},4" for user in range(40) for movie in range(20) if (user * movie) % 3]
    (tmp_path / "ratings.csv").write_text("\n".join(["user_id,movie_id,rating", *rows]))
    run = run_cfmodel("run", "ratings.csv", *SMALL, home=tmp_path, HOME=str(tmp_path / "absent"))
    assert run.returncode == 0, run.stderr
    (note,) = run.stderr.splitlines()
    assert note.startswith(f"Note: the home folder {tmp_path}/absent cannot be written: what belongs there goes to ")
    assert not COMPLAINTS.search(run.stdout), run.stdout
    assert re.search(r"^ model +0\.0000 +0\.0000", run.stdout, re.MULTILINE), run.stdout
    assert "Gradients: healthy" in run.stdout


def test_folders_that_cannot_be_written_are_told_with_the_setting_before_anything_is_started(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    (tmp_path / "file").touch()
    for setting, where in (({}, "runtime.data_dir"), ({"PREFECT_HOME": f"{tmp_path}/file/x"}, "PREFECT_HOME")):
        refused = run_cfmodel("run", "synthetic", home=tmp_path, **setting)
        assert refused.returncode == 1
        (line,) = refused.stderr.splitlines()
        assert f"this account cannot write there (it is {tmp_path}/" in line
        assert line.endswith(f"set {where} to a folder where it can")
        (tmp_path / "data").unlink(missing_ok=True)


def test_a_split_by_time_without_timestamps_names_the_setting_to_change(home: Path, prefect_api: str) -> None:
    (home / "untimed.csv").write_text("user_id,movie_id,rating\n" + "\n".join(f"{n},{n},3" for n in range(30)))
    by_time = ["--set", "split.strategy=temporal"]
    refused = run_cfmodel("run", "untimed.csv", *by_time, home=home, PREFECT_API_URL=prefect_api)
    assert refused.returncode == 1
    assert "split.strategy" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
