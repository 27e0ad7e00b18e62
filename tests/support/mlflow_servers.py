"""Servers that tests start: a real MLflow server that can go and come back, any other, one that never answers."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

from mlflow import MlflowClient

#: A server that will never answer ends, or is ended with its test.
_START_SECONDS = 600.0


class Server:
    """An MLflow server, always at the same address.

    Args:
        folder: Where it keeps its log, the artifacts it serves and, unless another is named, its SQLite store.
        store: Address of a store that is there already.
    """

    def __init__(self, folder: Path, *, store: str | None = None) -> None:
        self._folder = folder
        self._store = store or f"sqlite:///{folder}/mlflow.db"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri)

    def points(self, run_id: str, key: str) -> list[tuple[int, float]]:
        """Return every point of a metric as (step, value), in the order of the store's rows."""
        return [(point.step, point.value) for point in self.client.get_metric_history(run_id, key)]

    def start(self) -> None:
        """Start it, and wait until it answers."""
        store = ["--backend-store-uri", self._store]
        artifacts = ["--artifacts-destination", str(self._folder / "artifacts"), "--serve-artifacts"]
        where = ["--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"]
        self._process = _started(
            [sys.executable, "-m", "mlflow", "server", *store, *artifacts, *where],
            self._health,
            folder=self._folder,
            environment={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )

    def answers(self) -> bool:
        return _answers(self._health)

    def stop(self) -> None:
        """Kill it, as a power failure would."""
        if self._process is not None:
            _kill(self._process)
            self._process = None

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Have it for the length of a block."""
        self.start()
        try:
            yield self
        finally:
            self.stop()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Be gone for the length of a block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @property
    def _health(self) -> str:
        return f"{self.uri}/health"


@contextmanager
def serving(command: Sequence[str], address: str, *, folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Have a command that serves for the length of a block.

    Args:
        command: Program and arguments.
        address: What answers once it is up.
        folder: Where it runs and writes `server.log`.
        environment: What it finds in its environment beside what is in this one.
    """
    process = _started(command, address, folder=folder, environment=environment)
    try:
        yield
    finally:
        _kill(process)


#: Sockets that keep ports.
_KEEPING: list[socket.socket] = []


def free_port() -> int:
    """Return a port of this machine where nobody listens, and that no other process gets by chance.

    Nobody else is given it while a socket of this process is bound to it, and not even who connects to where nobody
    listens. A server that sets SO_REUSEADDR, as Prefect's and MLflow's do, may listen there all the same.
    """
    keeping = socket.socket()
    keeping.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeping.bind(("127.0.0.1", 0))
    _KEEPING.append(keeping)
    return int(keeping.getsockname()[1])


def free_address() -> str:
    """Return an address where nobody listens."""
    return f"http://127.0.0.1:{free_port()}"


def wait_until(happened: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + 600
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@contextmanager
def hung_server(*, hangs_up: bool = False) -> Iterator[tuple[str, list[socket.socket]]]:
    """Yield the address of a server that accepts every connection and never says a word, and the connections so far.

    Args:
        hangs_up: Whether it closes each connection at once.
    """
    calls: list[socket.socket] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def accept() -> None:
            try:
                while True:
                    calls.append(listener.accept()[0])
                    if hangs_up:
                        calls[-1].close()
            except OSError:
                return

        thread = Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", calls
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(600)
    for call in calls:
        call.close()


def _started(
    command: Sequence[str], address: str, *, folder: Path, environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    path = folder / "server.log"
    with path.open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # what it starts is stopped with it
        )
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(address):
        if time.monotonic() > deadline or process.poll() is not None:
            _kill(process)
            raise AssertionError(f"{address} does not answer: {path.read_text()[-4000:]}")
        time.sleep(0.2)
    return process


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=2):
            return True
    except (URLError, OSError):
        return False


def _kill(process: "subprocess.Popen[bytes]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
