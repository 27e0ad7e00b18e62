"""Run `cfmodel` as a person does: a process of its own in an empty folder."""

import os
import subprocess
import sys
from pathlib import Path


def run_cfmodel(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run cfmodel in a folder, without variables of ours or of Prefect's in the environment, but for those given."""
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
