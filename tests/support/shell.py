"""A shell that runs the blocks of a page in order, as a reader would, some in terminals of their own."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pages import Block

_READY_SECONDS = 600.0


class Shell:
    """Runs blocks in a folder; each block sees the variables and functions of the blocks before it.

    Attributes:
        folder: Working folder.
        replaced: Replacement by text in the blocks, for example of a port by a free one.

    Args:
        folder: Working folder.
        environment: Environment of the first block.
        replaced: See above.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], replaced: Mapping[str, str]) -> None:
        self.folder = folder
        self._environment = environment
        self.replaced = dict(replaced)
        self._state = folder / ".shell-state"
        self._state.write_text("")
        self._terminals: list[subprocess.Popen[bytes]] = []

    def run(self, block: Block) -> str:
        """Run a block to its end and return its output; raise AssertionError if a command fails."""
        keep = f'{{ export -p; declare -f; }} > "{self._state}"\n'
        done = subprocess.run(
            ["bash", "-c", self._script(block) + keep],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"{block}: exit status {done.returncode}\n{done.stdout[-4000:]}"
        return done.stdout

    def open_terminal(self, block: Block, *, ready: str) -> None:
        """Start a block that keeps running, and wait until its output shows that it is ready."""
        log = self.folder / f"terminal-{len(self._terminals)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", self._script(block)],
                cwd=self.folder,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._terminals.append(process)
        deadline = time.monotonic() + _READY_SECONDS
        while ready not in log.read_text():
            assert process.poll() is None, f"{block}: ended with {process.returncode}\n{log.read_text()[-4000:]}"
            assert time.monotonic() < deadline, f"{block}: not ready\n{log.read_text()[-4000:]}"
            time.sleep(0.5)

    def close(self) -> None:
        """End every block that is still running."""
        for process in reversed(self._terminals):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _script(self, block: Block) -> str:
        text = block.text if block.language == "sh" else f"python - <<'END'\n{block.text}END"
        for old, new in self.replaced.items():
            text = text.replace(old, new)
        return f'set -euo pipefail\nsource "{self._state}"\n{text}\n'
