"""Prefect servers that cfmodel starts: one for the length of a command, and one that stays.

Prefect's built-in temporary server loses short task runs if the process ends soon after them, and prints tracebacks at
exit. A server process that outlives the flow does neither: `flows.local` waits until it has recorded every task run.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from cfmodel.errors import CFModelError
from flows.outage import drop_unsent_records, server_answers

#: One that cannot start ends by itself, so that this is for one that hangs; a busy machine takes its time.
_START_SECONDS = 300.0
_STOP_SECONDS = 20.0
_PR_SET_PDEATHSIG = 1


@contextmanager
def prefect_server(home: Path, *, scheduling: bool = False) -> Iterator[str]:
    """Run a Prefect server on a free loopback port over the database in `home`.

    It serves no UI; its log is `server.log` in `home`. It stops when the block ends and, on Linux,
    when this process dies.

    Args:
        home: Prefect's home folder; created if missing.
        scheduling: Whether it also creates the scheduled runs of deployments; else it only records.

    Yields:
        Address of its API.

    Raises:
        CFModelError: The server did not start; the message names its log.
    """
    home.mkdir(parents=True, exist_ok=True)
    log = home / "server.log"
    with _reserved_port() as port:
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - every argument is ours
                [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
                env=os.environ | _server_environment(home, scheduling=scheduling),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl+C is for the command alone: the server must still be there to record it.
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,
            )
        try:
            _await_health(process, f"http://127.0.0.1:{port}/api", log=log)
            yield f"http://127.0.0.1:{port}/api"
        finally:
            _stop(process)


def start_in_background(home: Path, *, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start Prefect's server so that it outlives this process; its log is `server.log` in Prefect's home.

    Its process id is in `server.pid`, where `prefect server stop` looks for it.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "server.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "--no-prompt", "server", "start"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    (home / "server.pid").write_text(str(process.pid))
    return process


@contextmanager
def send_records_at_end() -> Iterator[None]:
    """At the end of a block of flow runs, send queued events and logs; drop them if the server is away.

    Use it inside the settings that name the server: Prefect has a queue per server.
    """
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler

    try:
        yield
    finally:
        if server_answers():
            EventsWorker.instance().wait_until_empty()
            APILogHandler().flush()
        else:
            drop_unsent_records()


def _server_environment(home: Path, *, scheduling: bool) -> dict[str, str]:
    services = ("SCHEDULER", "LATE_RUNS", "FOREMAN", "PAUSE_EXPIRATIONS", "CANCELLATION_CLEANUP", "TRIGGERS")
    switch = str(scheduling).lower()
    return {f"PREFECT_SERVER_SERVICES_{service}_ENABLED": switch for service in services} | {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_UI_ENABLED": "false",
    }


@contextmanager
def _reserved_port() -> Iterator[int]:
    """Choose a free port, and on Linux keep others from it until the server has it, which takes seconds.

    Who sets SO_REUSEADDR, as Prefect's server does, may listen at a port that another socket is only bound to.
    """
    with socket.socket() as reserving:
        reserving.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserving.bind(("127.0.0.1", 0))
        port = int(reserving.getsockname()[1])
        if sys.platform != "linux":
            reserving.close()
        yield port


def _die_with_parent() -> None:
    # Runs in the child before it becomes the server: the kernel sends it SIGTERM when the command is killed.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _await_health(process: subprocess.Popen[bytes], url: str, *, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urlopen(f"{url}/health", timeout=2):  # noqa: S310 - our own loopback address
                return
        except (URLError, OSError):
            time.sleep(0.1)
    how = "ended" if process.poll() is not None else f"did not answer within {_START_SECONDS:.0f} s"
    raise CFModelError(
        f"the Prefect server that records this run {how}; its log is {log}. "
        "Read the log, or set PREFECT_API_URL to a server of yours"
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
