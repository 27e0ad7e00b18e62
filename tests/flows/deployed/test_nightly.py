"""A worker's runs from end to end: by hand, scheduled, skipped, forced, cancelled and retried."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from mlflow import MlflowClient
from mlflow.entities import Run
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule
from sites import Site, begun, is_there, settle

from cfmodel.tracking.runs.leases import Heartbeat

SOURCE = "synthetic:users=120,movies=60,ratings=3000"
OVERRIDES = {"train.epochs": 2, "train.embedding_dim": 4}
Awaited = Callable[..., FlowRun]


def by_hand(client: SyncPrefectClient, source: str, **overrides: Any) -> FlowRun:
    return begun(client, "pipeline/cpu", source=source, overrides=OVERRIDES | overrides)


def recorded_by(site: Site, flow_run: UUID) -> list[Run]:
    experiment = site.store.get_experiment_by_name("cfmodel")
    if experiment is None:
        return []
    return site.store.search_runs([experiment.experiment_id], f"tags.prefect_flow_run_id = '{flow_run}'")


@contextmanager
def every_few_seconds(client: SyncPrefectClient, **parameters: Any) -> Iterator[None]:
    """Give the deployment a schedule for the length of a block."""
    deployment = client.read_deployment_by_name("pipeline/cpu")
    soon = (IntervalSchedule(interval=timedelta(seconds=12)), True)
    (schedule,) = client.create_deployment_schedules(deployment.id, [soon], parameters=parameters, slug="soon")
    try:
        yield
    finally:
        client.delete_deployment_schedule(deployment.id, schedule.id)
        settle(client)


def scheduled(client: SyncPrefectClient, **parameters: Any) -> list[FlowRun]:
    """Return the runs that schedules started with such parameters, oldest first.

    One that comes while another is under way is given up: that is not what is looked for here.
    """
    found = [run for run in client.read_flow_runs() if run.auto_scheduled and run.state_name != "Cancelled"]
    started = [run for run in found if run.start_time is not None]
    alike = [run for run in started if all(run.parameters.get(key) == value for key, value in parameters.items())]
    return sorted(alike, key=lambda run: run.start_time)  # type: ignore[arg-type,return-value]


def test_a_worker_runs_a_deployment_with_a_secret_from_a_block(
    client: SyncPrefectClient, worker: Site, awaited: Awaited
) -> None:
    store = f"sqlite:///{worker.folder}/secret.db"
    code = f"from prefect.blocks.system import Secret; Secret(value={store!r}).save('store')"
    assert worker.run(sys.executable, "-c", code, PREFECT_API_URL=worker.api).returncode == 0
    deployment = client.read_deployment_by_name("pipeline/cpu")
    from_block = deployment.job_variables["env"] | {"MLFLOW_TRACKING_URI": "{{ prefect.blocks.secret.store }}"}
    started = client.create_flow_run_from_deployment(
        deployment.id, parameters={"source": SOURCE, "overrides": OVERRIDES}, job_variables={"env": from_block}
    )
    run = awaited(lambda: client.read_flow_run(started.id))
    assert run.state_name == "Completed", worker.worker_log.read_text()
    (recorded,) = MlflowClient(store).search_runs(["1"])
    assert recorded.data.tags["prefect_flow_run_id"] == str(run.id)
    assert recorded.data.params["train.epochs"] == "2"
    assert recorded.data.params["runtime.device"] == "cpu"


def test_a_scheduled_run_trains_only_if_something_is_new_or_it_is_forced(
    client: SyncPrefectClient, worker: Site, awaited: Awaited
) -> None:
    by_schedule = {"source": SOURCE, "overrides": {**OVERRIDES, "train.seed": 7}}
    with every_few_seconds(client, **by_schedule):
        first = awaited(lambda: next(iter(scheduled(client, **by_schedule)), None))
        second = awaited(lambda: next(iter(scheduled(client, **by_schedule)[1:]), None))
    assert first.state_name == "Completed", worker.worker_log.read_text()
    (trained,) = recorded_by(worker, first.id)
    assert second.state is not None
    assert (second.state.type.value, second.state_name) == ("COMPLETED", "no new data")
    assert second.state.message == f"MLflow run {trained.info.run_id} was trained on the same"
    assert recorded_by(worker, second.id) == []
    with every_few_seconds(client, **by_schedule, force=True):
        forced = awaited(lambda: next(iter(scheduled(client, **by_schedule, force=True)), None))
    assert forced.state_name == "Completed"
    assert len(recorded_by(worker, forced.id)) == 1


def test_a_cancelled_run_ends_cancelled_and_its_mlflow_run_killed(
    client: SyncPrefectClient, worker: Site, awaited: Awaited
) -> None:
    # It would take days, on a rating a step.
    overrides = {"train.epochs": 100_000, "train.patience": 100_000, "train.schedule": "constant"}
    overrides |= {"train.batch_size": 1, "train.engine": "autograd"}
    started = by_hand(client, SOURCE, **overrides)
    while not recorded_by(worker, started.id):
        awaited(lambda: client.read_flow_run(started.id), state="Running")
    cancelled = worker.prefect("flow-run", "cancel", str(started.id))
    assert cancelled.returncode == 0, cancelled.stdout + cancelled.stderr
    # The process itself may say that it was aborted, before its worker says by whom.
    awaited(lambda: client.read_flow_run(started.id), state="Cancelled", passing="Crashed")
    (recorded,) = recorded_by(worker, started.id)
    beat = Heartbeat.of(recorded.data.tags)
    assert beat is not None
    while is_there(beat.process):  # Prefect may say so before the process has ended
        time.sleep(0.1)
    (recorded,) = recorded_by(worker, started.id)
    assert recorded.info.status == "KILLED"


def test_a_run_that_failed_can_be_retried(client: SyncPrefectClient, worker: Site, awaited: Awaited) -> None:
    source = worker.folder / "late.csv"
    started = by_hand(client, str(source))
    failed = awaited(lambda: client.read_flow_run(started.id))
    assert failed.state is not None
    assert failed.state_name == "Failed"
    assert "late.csv: no such file, folder or glob" in (failed.state.message or "")
    rows = [f"{user},{movie},{1 + (user * movie) % 5}" for user in range(40) for movie in range(20)]
    source.write_text("\n".join(["user_id,movie_id,rating", *rows]))
    retried = worker.prefect("flow-run", "retry", str(started.id))
    assert retried.returncode == 0, retried.stdout + retried.stderr
    run = awaited(lambda: client.read_flow_run(started.id), state="Completed")
    assert run.run_count == 2
    assert len(recorded_by(worker, started.id)) == 1
