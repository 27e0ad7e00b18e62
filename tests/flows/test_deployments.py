"""Deployments from an empty database: deployed, run by a worker, and started by a schedule."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.server import prefect_server

SOURCE = "synthetic:users=120,movies=60,ratings=3000"
OVERRIDES = {"train.epochs": 2, "train.embedding_dim": 4}
Prefect = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def clone(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the checkout holds, as a clean clone has it."""
    clone = tmp_path_factory.mktemp("clone")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines():
        if (root / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, clone / name)
    return clone


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own, with an empty database and a scheduler that does not wait a minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS", "2")
        with prefect_server(tmp_path_factory.mktemp("prefect"), scheduling=True) as url:
            yield url


@pytest.fixture(scope="module")
def prefect(api: str, clone: Path) -> Prefect:
    """Prefect's command, in the clone, against that server."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "prefect", *arguments]
        environment = os.environ | {"PREFECT_API_URL": api, "COLUMNS": "400", "PWD": str(clone)}
        return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, timeout=120)

    return run


@pytest.fixture(scope="module")
def client(api: str) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def deployed(prefect: Prefect) -> Prefect:
    """The two commands of the README that deploy."""
    for pool in ("cpu", "gpu"):
        made = prefect("work-pool", "create", pool, "--type", "process", "--overwrite")
        assert made.returncode == 0, made.stdout + made.stderr
    done = prefect("--no-prompt", "deploy", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
    return prefect


@pytest.fixture(scope="module")
def worker(deployed: Prefect, api: str, clone: Path) -> Iterator[Path]:
    """A worker on the CPU pool; yields its log."""
    log = clone / "worker.log"
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "cpu"]
    environment = os.environ | {"PREFECT_API_URL": api, "PREFECT_WORKER_QUERY_SECONDS": "1"}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=clone, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield log
    finally:
        process.terminate()
        process.wait(60)


def ended(found: Callable[[], FlowRun | None], *, log: Path, seconds: float = 120) -> FlowRun:
    """Wait for a flow run to reach its end."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        run = found()
        if run is not None and run.state is not None and run.state.is_final():
            return run
        time.sleep(0.5)
    pytest.fail(f"no flow run ended within {seconds:.0f} s; the worker said:\n{log.read_text()}")


def test_deploy_all_creates_both_deployments(deployed: Prefect, client: SyncPrefectClient) -> None:
    cpu, gpu = (client.read_deployment_by_name(f"pipeline/{name}") for name in ("cpu", "gpu"))
    assert (cpu.work_pool_name, gpu.work_pool_name) == ("cpu", "gpu")
    assert (cpu.parameters["runtime"], gpu.parameters["runtime"]) == ({"device": "cpu"}, {"device": "cuda"})
    assert [schedule.active for schedule in cpu.schedules] == [True]
    assert [schedule.active for schedule in gpu.schedules] == [False]
    assert cpu.enforce_parameter_schema


def test_the_settings_show_as_a_form_with_descriptions_and_bounds(deployed: Prefect, client: SyncPrefectClient) -> None:
    schema = client.read_deployment_by_name("pipeline/cpu").parameter_openapi_schema
    train = schema["definitions"]["TrainSettings"]["properties"]
    assert train["epochs"]["minimum"] == 1
    assert train["learning_rate"]["exclusiveMinimum"] == 0
    assert "Adam" in train["learning_rate"]["description"]
    assert schema["definitions"]["SplitSettings"]["properties"]["strategy"]["enum"]
    assert "by name" in schema["properties"]["source"]["description"]


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ('train={"epochs": 0}', "field 'train.epochs'. Failure reason: 0 is less than the minimum of 1"),
        ('train={"epoch": 5}', "field 'train'. Failure reason: Additional properties are not allowed ('epoch'"),
    ],
)
def test_a_setting_that_is_refused_is_refused_before_any_run(deployed: Prefect, section: str, reason: str) -> None:
    refused = deployed("deployment", "run", "pipeline/cpu", "-p", section)
    assert refused.returncode == 1
    assert reason in refused.stdout


def test_a_worker_runs_a_deployment(deployed: Prefect, client: SyncPrefectClient, worker: Path, clone: Path) -> None:
    overrides = '{"train.epochs": 2, "train.embedding_dim": 4}'
    arguments = ("-p", f"source={SOURCE}", "-p", f"overrides={overrides}")
    started = deployed("deployment", "run", "pipeline/cpu", *arguments)
    assert started.returncode == 0, started.stdout + started.stderr

    def by_hand() -> FlowRun | None:
        return next((run for run in client.read_flow_runs() if not run.auto_scheduled), None)

    run = ended(by_hand, log=worker)
    assert run.state_name == "Completed", worker.read_text()
    store = MlflowClient(f"sqlite:///{clone}/mlflow.db")
    experiment = store.get_experiment_by_name("cfmodel")
    assert experiment is not None
    (recorded,) = store.search_runs([experiment.experiment_id])
    assert recorded.data.tags["prefect_flow_run_id"] == str(run.id)
    assert recorded.data.params["train.epochs"] == "2"
    assert recorded.data.params["runtime.device"] == "cpu"


def test_a_schedule_starts_a_run(deployed: Prefect, client: SyncPrefectClient, worker: Path) -> None:
    deployment = client.read_deployment_by_name("pipeline/cpu")
    soon = (IntervalSchedule(interval=timedelta(seconds=20)), True)
    parameters = {"source": SOURCE, "overrides": OVERRIDES}
    client.create_deployment_schedules(deployment.id, [soon], parameters=parameters, slug="soon")

    def scheduled() -> FlowRun | None:
        over = [run for run in client.read_flow_runs() if run.auto_scheduled and run.start_time is not None]
        return min(over, key=lambda run: run.start_time, default=None)

    run = ended(scheduled, log=worker)
    assert run.state_name == "Completed", worker.read_text()
    assert run.parameters["source"] == SOURCE
