"""Leases over a real store: held by a living process, free once it is gone, whoever looks and from wherever."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from cfmodel import tracking
from cfmodel.config import TrackingSettings
from cfmodel.errors import LeaseError
from cfmodel.tracking import Run
from cfmodel.tracking.runs.leases import LEASE_TAG, STALE_SECONDS, Heartbeat, Lease, is_free, require_free

HOLDER = """
import sys
from pathlib import Path
from cfmodel.tracking import Run
from cfmodel.tracking.runs.leases import Lease
with Lease(Run(*sys.argv[1:5]), Path(sys.argv[5])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def run(mlflow_store: str) -> Run:
    return tracking.start_run(TrackingSettings(uri=mlflow_store), tags=Heartbeat.now().as_tag())


@pytest.fixture
def holder(run: Run, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the run's lease."""
    command = [sys.executable, "-c", HOLDER, run.run_id, run.tracking_uri, run.experiment_id, run.name, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def tags_of(run: Run) -> dict[str, str]:
    return tracking.read_run(run.tracking_uri, run.run_id).tags


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> float:
    """The time, which stands still for leases of this process, so that ages do not depend on the test's speed."""
    moment = round(time.time(), 3)
    monkeypatch.setattr("cfmodel.tracking.runs.leases.time", SimpleNamespace(time=lambda: moment))
    return moment


def elsewhere(*, age: float) -> dict[str, str]:
    """Return the heartbeat of a process on another machine, as a tag."""
    beat = Heartbeat.now()
    beat = replace(beat, system="another", host="another", time=beat.time - age)
    return {LEASE_TAG: json.dumps(asdict(beat))}


def test_a_lease_is_held_until_its_block_ends(run: Run, tmp_path: Path) -> None:
    with Lease(run, tmp_path):
        assert not is_free(run, tags_of(run), tmp_path)
        with pytest.raises(LeaseError, match=f"run {run.run_id} is being worked on"), Lease(run, tmp_path):
            pass
    assert is_free(run, tags_of(run), tmp_path)


def test_the_lease_of_a_living_process_is_held_however_long_it_was_silent(
    run: Run, holder: subprocess.Popen[str], now: float, tmp_path: Path
) -> None:
    silent = replace(Heartbeat.now(), process=holder.pid, time=now - 10 * STALE_SECONDS).as_tag()
    with pytest.raises(LeaseError, match=f"process {holder.pid} on .*, last heard of 1200 s ago"):
        require_free(run, silent, tmp_path)
    with pytest.raises(LeaseError), Lease(run, tmp_path):
        pass


def test_a_process_killed_on_this_machine_leaves_a_free_lease_at_once(
    run: Run, holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    tags = tags_of(run)
    assert Heartbeat.of(tags) is not None
    assert is_free(run, tags, tmp_path)
    with Lease(run, tmp_path):
        pass


@pytest.mark.usefixtures("now")
def test_a_run_of_another_machine_is_free_once_its_heartbeat_is_old(run: Run, tmp_path: Path) -> None:
    require_free(run, elsewhere(age=STALE_SECONDS + 1), tmp_path / "absent")
    with pytest.raises(LeaseError, match=r"process \d+ on another, last heard of 9\d s ago.*wait: 120 s after"):
        require_free(run, elsewhere(age=STALE_SECONDS - 30), tmp_path / "absent")


def test_a_copied_folder_does_not_make_a_run_of_another_machine_free(run: Run, tmp_path: Path) -> None:
    with Lease(run, tmp_path):
        pass
    assert (tmp_path / "lease.lock").exists()
    assert not is_free(run, elsewhere(age=1), tmp_path)


def test_a_clock_that_is_ahead_does_not_make_a_lease_free(run: Run, tmp_path: Path) -> None:
    assert not is_free(run, elsewhere(age=-3600), tmp_path)


def test_the_heartbeat_is_renewed_in_the_store(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cfmodel.tracking.runs.leases._BEAT_SECONDS", 0.05)
    first = Heartbeat.of(tags_of(run))
    assert first is not None
    assert first.process == os.getpid()
    with Lease(run, tmp_path):
        deadline = time.monotonic() + 600
        while (beat := Heartbeat.of(tags_of(run))) is not None and beat.time < first.time + 0.3:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_store_that_is_away_does_not_end_a_lease(tmp_path: Path) -> None:
    away = Run("1" * 32, "http://127.0.0.1:9", "0", "away")
    with Lease(away, tmp_path):
        assert not is_free(away, {}, tmp_path)
    assert is_free(away, {}, tmp_path)


def test_no_thread_outlives_its_lease(run: Run, tmp_path: Path) -> None:
    with Lease(run, tmp_path):
        (beating,) = [thread for thread in threading.enumerate() if thread.name == f"lease-{run.run_id}"]
    beating.join(600)
    assert not beating.is_alive()
