"""A shell in a clean clone, for the pages whose commands are run by a test."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow_servers import free_port
from shell import Shell


@pytest.fixture
def shell(root: Path, tmp_path: Path) -> Iterator[Shell]:
    """Yield a shell in a clean clone that already has its .venv, with a Prefect home of its own."""
    folder = tmp_path / "clone"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines():
        if (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    shim = tmp_path / "bin/make"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {shutil.which("make")} -o .venv/run.stamp -o .venv/dev.stamp "$@"\n')
    shim.chmod(0o755)
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "DO_NOT"))
    }
    prefect, mlflow, model = (str(free_port()) for _ in range(3))
    ours = {
        "PATH": f"{shim.parent}:{clean['PATH']}",
        "HOME": str(tmp_path),
        "PREFECT_SERVER_API_PORT": prefect,
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "OMP_NUM_THREADS": "1",
    }
    ports = {"127.0.0.1:4200": f"127.0.0.1:{prefect}"}
    for written, free in (("5000", mlflow), ("5001", model)):
        ports |= {f":{written}": f":{free}", f"--port {written}": f"--port {free}"}
    shell = Shell(folder, clean | ours, ports)
    yield shell
    shell.close()
    stop = [f"{sys.prefix}/bin/prefect", "server", "stop"]
    subprocess.run(stop, env=clean | ours, cwd=folder, capture_output=True)
