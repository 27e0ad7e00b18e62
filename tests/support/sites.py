"""A clone of the checkout with servers of its own, and the commands that are run in it."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun

BIN = Path(sys.executable).parent
Done = subprocess.CompletedProcess[str]

#: Experiment of the two runs that several tests look at, and the registered model that theirs compete for.
TWO_RUNS, MODEL = "two-runs", "movies"


@dataclass(frozen=True)
class Site:
    """A clone with a Prefect server of its own, an empty database, and a scheduler that does not wait a minute."""

    folder: Path
    port: int
    environment: Mapping[str, str] = field(repr=False)

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def home(self) -> Path:
        return Path(self.environment["PREFECT_HOME"])

    @property
    def worker_log(self) -> Path:
        return self.folder / "worker.log"

    @property
    def store(self) -> MlflowClient:
        return MlflowClient(f"sqlite:///{self.folder}/mlflow.db")

    def run(self, *command: str, **environment: str) -> Done:
        """Run a command in the clone."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
        )

    def make(self, *arguments: str, **environment: str) -> Done:
        """Run make in the clone, with this environment in the place of the one it would set up."""
        return self.run(*self.make_command(*arguments), **environment)

    def make_command(self, *arguments: str) -> list[str]:
        return ["make", "--no-print-directory", "-o", ".venv/run.stamp", f"BIN={BIN}", *arguments]

    def prefect(self, *arguments: str) -> Done:
        """Run Prefect's command against the site's server."""
        return self.run(str(BIN / "prefect"), *arguments, PREFECT_API_URL=self.api)


def begun(client: SyncPrefectClient, deployment: str, **parameters: Any) -> FlowRun:
    """Start a deployment once nothing is under way any more."""
    settle(client)
    found = client.read_deployment_by_name(deployment)
    return client.create_flow_run_from_deployment(found.id, parameters=parameters)


def is_there(process: int) -> bool:
    """Tell whether a process has not ended yet."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def settle(client: SyncPrefectClient, *, seconds: float = 600) -> None:
    """Take back what is still scheduled, and wait until nothing is under way.

    A deployment runs once at a time: a run that comes while another is under way is given up.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        open_runs = [run for run in client.read_flow_runs() if run.state and not run.state.is_final()]
        near = [run for run in open_runs if not _is_for_later(run)]
        for run in near:
            if run.state and run.state.is_scheduled():
                client.delete_flow_run(run.id)
        if not near:
            return
        time.sleep(0.5)
    raise TimeoutError(f"runs are still under way after {seconds:.0f} s")


def _is_for_later(run: FlowRun) -> bool:
    due = run.expected_start_time
    return bool(run.state and run.state.is_scheduled() and due and due > datetime.now(UTC) + timedelta(minutes=5))
