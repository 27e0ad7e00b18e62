"""A worker's flow run that is cancelled, retried or killed: its states in Prefect and MLflow, and how it resumes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from held import hold, is_reached, release, told_at
from mlflow import MlflowClient
from mlflow.entities import Run
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.states import AwaitingRetry, Cancelling

from cfmodel.tracking.runs.leases import Heartbeat

SOURCE = "synthetic:users=300,movies=150,ratings=20000"
SETTINGS = {
    "train.epochs": 4,
    "train.embedding_dim": 4,
    "train.engine": "autograd",
    "train.refit": False,
    "runtime.device": "cpu",
    "runtime.checkpoint_seconds": 0,
}


@dataclass(frozen=True)
class Site:
    """A deployment with a worker.

    Attributes:
        client: Prefect's.
        deployment: Its id.
        folder: Where its data are.
        store: MLflow's client of its store, in which its experiment is.
        experiment: Name of that.
        log: What the worker said.
        hold: What its runs wait for; see `held`.
    """

    client: SyncPrefectClient
    deployment: UUID
    folder: Path
    store: MlflowClient
    experiment: str
    log: Path
    hold: Path

    def start(self) -> UUID:
        """Have the worker run it once."""
        run = self.client.create_flow_run_from_deployment(self.deployment)
        return run.id

    def runs(self) -> list[Run]:
        """Return its MLflow runs, newest first."""
        found = self.store.get_experiment_by_name(self.experiment)
        return list(self.store.search_runs([found.experiment_id])) if found else []

    def run_in_training(self) -> Run:
        """Wait until its one run waits in its third epoch; return that."""
        self.until(lambda: is_reached(self.hold))
        (run,) = self.runs()
        return run

    def steps(self, run: Run, key: str) -> list[int]:
        """Return the epochs that a run has points of a metric for."""
        return [point.step for point in self.store.get_metric_history(run.info.run_id, key)]

    def state_of(self, flow_run: UUID) -> str:
        """Return the name of a flow run's state."""
        return str(self.client.read_flow_run(flow_run).state_name)

    def until(self, reached: Callable[[], bool]) -> None:
        """Wait for something, long enough for a machine with other work."""
        deadline = time.monotonic() + 600
        while not reached():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)


@pytest.fixture(scope="module")
def worked(
    root: Path, prefect_api: str, mlflow_store: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Site]]:
    """A worker; makes deployments of the pipeline with an experiment and a folder of their own."""
    home = tmp_path_factory.mktemp("worker")
    with get_client(sync_client=True) as client:
        client.create_work_pool(WorkPoolCreate(name="kills", type="process"))
        flow_id = client.create_flow_from_name("pipeline")
        log = home / "worker.log"
        here = {"PREFECT_API_URL": prefect_api, "PREFECT_WORKER_QUERY_SECONDS": "1", "OMP_NUM_THREADS": "1"}
        with log.open("wb") as output:
            worker = subprocess.Popen(
                [sys.executable, "-m", "prefect", "worker", "start", "--pool", "kills", "--type", "process"],
                cwd=home,
                env=os.environ | here,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

        def deployed(name: str) -> Site:
            folder = tmp_path_factory.mktemp(name)
            hold(folder / "hold", "training")
            own = {"tracking.uri": mlflow_store, "tracking.experiment": folder.name, "runtime.data_dir": str(folder)}
            deployment = client.create_deployment(
                flow_id,
                name,
                entrypoint="tests/support/held.py:pipeline",
                work_pool_name="kills",
                job_variables={"env": {"HOLD": str(folder / "hold")}},
                parameters={"source": SOURCE, "overrides": SETTINGS | own},
                pull_steps=[{"prefect.deployments.steps.set_working_directory": {"directory": str(root)}}],
            )
            return Site(client, deployment, folder, MlflowClient(mlflow_store), folder.name, log, folder / "hold")

        yield deployed
        os.killpg(worker.pid, signal.SIGKILL)  # with what it started; asked to end, it waits for that
        worker.wait()


def is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_cancelled_run_stops_within_ten_seconds_and_a_retry_resumes_it(worked: Callable[[str], Site]) -> None:
    site = worked("cancelled")
    flow_run = site.start()
    beat = Heartbeat.of(site.run_in_training().data.tags)
    assert beat is not None
    site.client.set_flow_run_state(flow_run, Cancelling())
    site.until(lambda: site.state_of(flow_run) == "Cancelled")
    site.until(lambda: not is_there(beat.process))  # Prefect may say so before the process has ended
    (run,) = site.runs()
    assert run.info.status == "KILLED"
    # From the signal on: how soon Prefect passes a cancellation on is Prefect's. It takes some hundredths of a second.
    assert run.info.end_time / 1000 - told_at(site.hold) < 10
    assert list((site.folder / "checkpoints" / run.info.run_id).glob("*.safetensors"))
    assert site.steps(run, "val/rmse") == [0, 1, 2]

    release(site.hold)
    site.client.set_flow_run_state(flow_run, AwaitingRetry(), force=True)
    site.until(lambda: site.state_of(flow_run) == "Completed")
    (again,) = site.runs()
    assert (again.info.run_id, again.info.status) == (run.info.run_id, "FINISHED")
    assert site.steps(run, "val/rmse") == [0, 1, 2, 3, 4]


def test_a_flow_run_whose_process_is_killed_is_resumed_by_the_next_one(worked: Callable[[str], Site]) -> None:
    site = worked("killed")
    first = site.start()
    run = site.run_in_training()
    beat = Heartbeat.of(run.data.tags)
    assert beat is not None
    os.kill(beat.process, signal.SIGKILL)
    site.until(lambda: site.state_of(first) == "Crashed")
    assert [each.info.status for each in site.runs()] == ["RUNNING"]

    release(site.hold)
    second = site.start()
    site.until(lambda: site.state_of(second) == "Completed")
    (again,) = site.runs()
    assert (again.info.run_id, again.info.status) == (run.info.run_id, "FINISHED")
    assert again.data.tags["prefect_flow_run_id"] == str(second)
    assert again.data.tags["resumed"] == "1"
    for key in ("val/rmse", "train/loss", "gradients/prediction_std"):
        steps = site.steps(run, key)
        assert sorted(steps) == sorted(set(steps))
