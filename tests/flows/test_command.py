"""`cfmodel run` as a person runs it: a process of its own, an empty home, nothing else started."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.settings import PREFECT_API_URL, temporary_settings

from cfmodel.commands.ui import opening_command
from flows.server import prefect_server

SMALL = ["--set", "train.epochs=2", "--set", "train.embedding_dim=4", "--set", "runtime.device=cpu"]
COMPLAINTS = re.compile(r"warning|traceback|error", re.IGNORECASE)


def command(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run cfmodel in an empty folder, with nothing of ours or of Prefect's in the environment."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "DO_NOT"))
    }
    return subprocess.run(
        [sys.executable, "-m", "cfmodel", *arguments],
        cwd=home,
        env=clean | {"HOME": str(home)} | environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def runs(home: Path) -> list[subprocess.CompletedProcess[str]]:
    """The same command twice."""
    source = "synthetic:users=300,movies=100,ratings=8000"
    return [command("run", source, *SMALL, home=home) for _ in range(2)]


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


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///{here}/mlflow.db", "make ui"),
        ("sqlite:///{here}/other.db", "cfmodel ui --set tracking.uri=sqlite:///{here}/other.db"),
        ("http://127.0.0.1:5000", None),
    ],
)
def test_the_command_that_opens_mlflow_fits_the_store(
    uri: str, expected: str | None, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    assert opening_command(uri.format(here=root)) == (expected and expected.format(here=root))


def test_it_prints_loss_val_rmse_and_each_tables_norm_per_epoch(runs: list[subprocess.CompletedProcess[str]]) -> None:
    assert re.search(r"^\s+1/2( +\d+\.\d{4}){6}", runs[0].stdout, re.MULTILINE), runs[0].stdout
    assert re.search(r"^\s+2/2( +\d+\.\d{4}){6}", runs[0].stdout, re.MULTILINE)


def test_a_second_run_reuses_ingest_and_split_and_says_so(runs: list[subprocess.CompletedProcess[str]]) -> None:
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
            assert {task_run.state_name for task_run in task_runs} <= {"Completed", "Cached"}


def test_a_refusal_is_one_message_and_exit_status_1(home: Path) -> None:
    refused = command("run", "absent.csv", home=home)
    assert refused.returncode == 1
    assert "absent.csv" in refused.stderr
    assert "Traceback" not in refused.stderr + refused.stdout
    assert refused.stderr.startswith("Error: ")
    assert len(refused.stderr.strip().splitlines()) == 1


def test_a_prefect_server_that_does_not_answer_is_refused_by_its_address(home: Path) -> None:
    refused = command("run", home=home, PREFECT_API_URL="http://127.0.0.1:9/api")
    assert refused.returncode == 1
    assert "no Prefect server answers at http://127.0.0.1:9/api" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_a_misspelt_setting_is_refused_at_once(home: Path) -> None:
    refused = command("run", "--set", "train.epoch=5", home=home)
    assert refused.returncode == 1
    assert refused.stderr == "Error: train.epoch is not a setting; did you mean train.epochs?\n"


def test_an_option_without_a_value_is_refused(home: Path) -> None:
    assert "expected NAME=VALUE" in command("run", "--set", "train.epochs", home=home).stderr


def test_a_typo_is_told_before_anything_is_started(home: Path) -> None:
    for arguments in (["absent.csv"], ["--set", "split.strategy=predefined", "--set", "split.test_source=absent.csv"]):
        refused = command("run", *arguments, home=home)
        assert "absent.csv" in refused.stderr
        assert refused.stdout == ""


@pytest.mark.parametrize("source", ["s3://key:secret-word@bucket/x.csv", "https://me:secret-word@host/x.csv"])
def test_a_source_with_a_password_is_refused_before_anything_is_started_and_stored_nowhere(
    source: str, tmp_path: Path
) -> None:
    refused = command("run", source, home=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"Error: {source.partition(':')[0]}://***@")
    assert "secret-word" not in refused.stdout + refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_device_that_is_not_there_is_refused_before_anything_is_started(home: Path) -> None:
    refused = command("run", "--set", "runtime.device=cuda", home=home, CUDA_VISIBLE_DEVICES="")
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: runtime.device: 'cuda' needs CUDA")
    assert refused.stdout == ""


def test_a_split_by_time_without_timestamps_names_the_setting_to_change(home: Path, prefect_api: str) -> None:
    (home / "untimed.csv").write_text("user_id,movie_id,rating\n" + "\n".join(f"{n},{n},3" for n in range(30)))
    by_time = ["--set", "split.strategy=temporal"]
    refused = command("run", "untimed.csv", *by_time, home=home, PREFECT_API_URL=prefect_api)
    assert refused.returncode == 1
    assert "split.strategy" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_outside_a_checkout_it_says_so_in_one_sentence(home: Path) -> None:
    code = (
        "import sys; sys.modules['flows'] = None; sys.argv = ['cfmodel', 'run']; from cfmodel.cli import main; main()"
    )
    refused = subprocess.run([sys.executable, "-c", code], cwd=home, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1
    assert "checkout" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_the_settings_command_prints_a_settings_file_that_runs_accept(home: Path) -> None:
    (home / "cfmodel.toml").write_text(command("settings", home=home).stdout)
    refused = command("run", "absent.csv", "--config", "cfmodel.toml", home=home)
    assert "absent.csv" in refused.stderr


def test_help_comes_quickly_because_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, cfmodel.cli\n"
        "heavy = {'torch', 'mlflow', 'prefect', 'pandas', 'pyarrow', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    shown = subprocess.run([sys.executable, "-m", "cfmodel", "--help"], capture_output=True, text=True, check=True)
    assert "run" in shown.stdout


def test_usage_reporting_is_off_unless_the_environment_turns_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    import flows
    from cfmodel.cli import _prepare_environment

    names = ("DO_NOT_TRACK", "PREFECT_SERVER_ANALYTICS_ENABLED", "MLFLOW_DISABLE_TELEMETRY")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    importlib.reload(flows)
    _prepare_environment()
    assert [os.environ[name] for name in names] == ["true", "false", "true"]
    monkeypatch.setenv("DO_NOT_TRACK", "false")
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY")
    _prepare_environment()
    assert [os.environ[name] for name in names] == ["false", "false", "false"]
