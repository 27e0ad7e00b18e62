"""A clone of the checkout with servers of its own, and the commands that are run in it."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlflow import MlflowClient

BIN = Path(sys.executable).parent
Done = subprocess.CompletedProcess[str]


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
            timeout=280,
        )

    def make(self, *arguments: str, **environment: str) -> Done:
        """Run make in the clone, with this environment in the place of the one it would set up."""
        return self.run(*self.make_command(*arguments), **environment)

    def make_command(self, *arguments: str) -> list[str]:
        return ["make", "--no-print-directory", "-o", ".venv/run.stamp", f"BIN={BIN}", *arguments]

    def prefect(self, *arguments: str) -> Done:
        """Run Prefect's command against the site's server."""
        return self.run(str(BIN / "prefect"), *arguments, PREFECT_API_URL=self.api)
