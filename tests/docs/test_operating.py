"""The operating guide, run from its first block to its last."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import blocks_of
from shell import Shell

PAGE = "docs/operating.md"
#: What a terminal says when others may go on, by a word of its block.
READY = {"mlflow server": "Application startup complete", "make worker": "started!"}


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


@pytest.fixture
def shell(root: Path, tmp_path: Path) -> Iterator[Shell]:
    """A shell in a clean clone that has its .venv already, with Prefect's home to itself."""
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
    prefect, mlflow = free_port(), free_port()
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "DO_NOT"))
    }
    ours = {
        "PATH": f"{shim.parent}:{clean['PATH']}",
        "HOME": str(tmp_path),
        "PREFECT_SERVER_API_PORT": prefect,
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "OMP_NUM_THREADS": "1",
    }
    shell = Shell(
        folder,
        clean | ours,
        {"127.0.0.1:4200": f"127.0.0.1:{prefect}", ":5000": f":{mlflow}", "--port 5000": f"--port {mlflow}"},
    )
    yield shell
    shell.close()
    stop = [f"{sys.prefix}/bin/prefect", "server", "stop"]
    subprocess.run(stop, env=clean | ours, cwd=folder, capture_output=True, timeout=60)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_block_of_the_guide_that_can_run_here_does(shell: Shell, root: Path) -> None:
    said: dict[str, str] = {}
    for block in blocks_of(root, PAGE):
        if block.how == "terminal":
            shell.open_terminal(block, ready=next(READY[word] for word in READY if word in block.text))
        elif block.how == "":
            said[block.text] = shell.run(block)
    output = "\n".join(said.values())
    assert "Flow run finished successfully in 'Completed'." in output
    assert output.count("finished") >= 2  # `cfmodel runs` lists the run
    assert "Nothing goes" in output
    assert "Server stopped!" in output
    assert "Traceback" not in output
