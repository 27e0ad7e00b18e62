"""A clone of the checkout, deployed by `make deploy` and served by `make worker`, once for the session."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from mlflow_servers import free_port
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from sites import BIN, MODEL, TWO_RUNS, Done, Site, begun


@pytest.fixture(scope="session")
def bare_site(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A copy of what the checkout holds, as a clean clone has it, with nothing running yet."""
    folder = tmp_path_factory.mktemp("clone")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines():
        if (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / name)
    port = free_port()
    home = tmp_path_factory.mktemp("prefect")
    ours = {
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",
        "COLUMNS": "400",
    }
    # What the `make` that runs the tests was told is nothing to the clone's own.
    outside = {
        name: value
        for name, value in os.environ.items()
        if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "ARGS", "SOURCE")
    }
    site = Site(folder, port, outside | ours)
    yield site
    site.run(str(BIN / "prefect"), "server", "stop")


@pytest.fixture(scope="session")
def deploying(bare_site: Site) -> Done:
    """What `make deploy` said."""
    return bare_site.make("deploy")


@pytest.fixture(scope="session")
def site(bare_site: Site, deploying: Done) -> Site:
    """The clone once it is deployed."""
    assert deploying.returncode == 0, deploying.stdout + deploying.stderr
    return bare_site


@pytest.fixture(scope="session")
def client(site: Site) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: site.api}), get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="session")
def worker(site: Site) -> Iterator[Site]:
    """The clone with `make worker` serving the CPU's pool."""
    with site.worker_log.open("wb") as output:
        process = subprocess.Popen(
            site.make_command("worker"),
            cwd=site.folder,
            env=site.environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    yield site
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(20)  # it waits for runs that are under way
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="session")
def awaited(site: Site) -> Callable[..., FlowRun]:
    """Wait until a flow run that is looked for reaches a state, by default any that is its last; one may be passing."""

    def wait(
        found: Callable[[], FlowRun | None],
        *,
        state: str | None = None,
        passing: str | None = None,
    ) -> FlowRun:
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            run = found()
            if run is not None and run.state is not None:
                if run.state_name == state:
                    return run
                if run.state.is_final() and run.state_name != passing:
                    assert state is None, f"{run.state_name}: {run.state.message}\n{site.worker_log.read_text()}"
                    return run
            time.sleep(0.5)
        pytest.fail(f"no flow run got there in ten minutes; the worker said:\n{site.worker_log.read_text()}")

    return wait


@pytest.fixture(scope="session")
def two_runs(client: SyncPrefectClient, worker: Site, awaited: Callable[..., FlowRun]) -> list[FlowRun]:
    """Two runs in an experiment of their own: the model of the first is promoted, that of the second is not."""
    done = []
    for seed, epochs in ((1, 6), (2, 1)):
        learning = {"train.epochs": epochs, "train.seed": seed, "train.embedding_dim": 4, "train.learning_rate": 0.02}
        overrides = learning | {"promotion.model_name": MODEL, "tracking.experiment": TWO_RUNS}
        run = begun(client, "pipeline/cpu", source="synthetic:users=200,movies=80,ratings=8000", overrides=overrides)
        done.append(awaited(lambda run=run: client.read_flow_run(run.id), state="Completed"))
    return done


@pytest.fixture(scope="session")
def experiment(worker: Site, two_runs: list[FlowRun]) -> str:
    """The id of the MLflow experiment that holds these alone."""
    found = worker.store.get_experiment_by_name(TWO_RUNS)
    assert found is not None
    return str(found.experiment_id)


@pytest.fixture(scope="session")
def run_ids(worker: Site, two_runs: list[FlowRun], experiment: str) -> list[str]:
    """The MLflow runs of these."""
    found = [worker.store.search_runs([experiment], f"tags.prefect_flow_run_id = '{run.id}'") for run in two_runs]
    return [run.info.run_id for (run,) in found]
