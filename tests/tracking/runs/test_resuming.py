"""Unfinished runs in a real store: resumed if that is exact, else closed, and never touched while a process works."""

import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest
from mlflow import MlflowClient

from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.errors import CheckpointError, LeaseError
from cfmodel.tracking import OpenRun, RunSummary
from cfmodel.tracking.runs.leases import LEASE_TAG, STALE_SECONDS, Heartbeat
from cfmodel.training.resuming.checkpoints import CheckpointFolder

IDENTITY = {"split_digest": "5" * 64, "settings_digest": "e" * 64, "code_digest": "c" * 64, "device": "cpu"}
Open = Callable[..., AbstractContextManager[OpenRun]]

#: Opens runs of several experiments, and kills itself.
START_AND_DIE = """
import json, os, signal, sys
import torch
from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.training.resuming.checkpoints import CheckpointFolder
left = {}
for name, overrides, checkpoints in json.loads(sys.argv[1]):
    for checkpoint in checkpoints:
        settings = PipelineSettings.of(overrides=overrides)
        block = tracking.opened_run("ratings.csv", settings, identity=json.loads(sys.argv[2]))
        run = block.__enter__()
        tracking.log_metrics(run.run, {"train/loss": 0.5}, step=1)
        if checkpoint:
            CheckpointFolder(run.folder).write({"training": {"table": torch.zeros(2)}})
        left.setdefault(name, []).append((block, run.run.run_id))
print(json.dumps({name: [run_id for _, run_id in runs] for name, runs in left.items()}), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
#: By experiment, whether each of its killed runs has a checkpoint.
CHECKPOINTS = {
    "resumed": [True],
    "refused": [False],
    "without checkpoint": [False],
    "several": [True, True],
    "away": [True],
    **{name: [True] for name in IDENTITY},
}


class Stopped(BaseException):
    """Stands for a signal that stops the block."""


class Start:
    """Opens runs in one experiment and one folder, as the pipeline does."""

    def __init__(self, settings: PipelineSettings, left: Sequence[str] = ()) -> None:
        self.settings, self.left = settings, left

    def __call__(
        self, *, identity: dict[str, str] = IDENTITY, flow_run: str | None = None, resume: str | None = None
    ) -> AbstractContextManager[OpenRun]:
        return tracking.opened_run("ratings.csv", self.settings, identity=identity, flow_run=flow_run, resume=resume)

    def summary_of(self, run_id: str) -> RunSummary:
        return tracking.read_run(tracking.resolve_uri(self.settings.tracking), run_id)


@pytest.fixture(scope="module")
def killed(mlflow_store: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Start]:
    """Experiments with runs of a process that was killed."""
    folder = tmp_path_factory.mktemp("killed")
    overrides = {
        name: {
            "tracking.uri": "http://127.0.0.1:9" if name == "away" else mlflow_store,
            "tracking.experiment": f"{name}-{uuid4().hex}",
            "runtime.data_dir": str(folder / name),
        }
        for name in CHECKPOINTS
    }
    argument = json.dumps([(name, overrides[name], checkpoints) for name, checkpoints in CHECKPOINTS.items()])
    command = [sys.executable, "-c", START_AND_DIE, argument, json.dumps(IDENTITY)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return {
        name: Start(PipelineSettings.of(overrides=overrides[name]), left)
        for name, left in json.loads(done.stdout).items()
    }


@pytest.fixture
def start(mlflow_store: str, tmp_path: Path) -> Start:
    """An experiment without runs yet."""
    here = {
        "tracking.uri": mlflow_store,
        "tracking.experiment": f"resuming-{uuid4().hex}",
        "runtime.data_dir": str(tmp_path),
    }
    return Start(PipelineSettings.of(overrides=here))


def stopped_run(start: Start, *, flow_run: str | None = None) -> OpenRun:
    """Return a run that a signal stopped."""
    stopped: list[OpenRun] = []

    def attempt() -> None:
        with start(flow_run=flow_run) as run:
            CheckpointFolder(run.folder).write({"training": {}})
            stopped.append(run)
            raise Stopped

    with pytest.raises(Stopped):
        attempt()
    return stopped[0]


def test_a_new_run_carries_what_a_later_start_compares(start: Start) -> None:
    with start(flow_run="f1") as run:
        assert not run.resumed
        tags = start.summary_of(run.run.run_id).tags
        assert IDENTITY.items() <= tags.items()
        assert tags["prefect_flow_run_id"] == "f1"
        assert Heartbeat.of(tags) is not None
        tracking.end_run(run.run)
    assert start.summary_of(run.run.run_id).status == "FINISHED"
    assert not run.folder.exists()


def test_a_run_of_a_killed_process_is_resumed_by_the_next_start(killed: dict[str, Start]) -> None:
    start = killed["resumed"]
    with start() as again:
        assert (again.run.run_id, again.resumed) == (start.left[0], True)
        assert start.summary_of(start.left[0]).tags["resumed"] == "1"
        tracking.log_metrics(again.run, {"train/loss": 0.5}, step=1)
        tracking.log_metrics(again.run, {"train/loss": 0.4}, step=2)
        tracking.end_run(again.run)
    history = MlflowClient(again.run.tracking_uri).get_metric_history(start.left[0], "train/loss")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, 0.4)]


@pytest.mark.parametrize("name", list(IDENTITY))
def test_a_run_that_would_end_in_other_weights_is_closed_as_killed_with_the_reason(
    name: str, killed: dict[str, Start]
) -> None:
    start = killed[name]
    with start(identity=IDENTITY | {name: "other"}) as new:
        assert new.run.run_id != start.left[0]
        assert not new.resumed
    left = start.summary_of(start.left[0])
    assert left.status == "KILLED"
    assert f"{name} was {IDENTITY[name]} and is other" in left.tags["killed"]


def test_a_run_without_a_good_checkpoint_is_closed_as_killed(
    killed: dict[str, Start], caplog: pytest.LogCaptureFixture
) -> None:
    start = killed["without checkpoint"]
    with caplog.at_level(logging.WARNING), start() as new:
        assert new.run.run_id != start.left[0]
    left = start.summary_of(start.left[0])
    assert left.status == "KILLED"
    assert "there is no good checkpoint" in left.tags["killed"]
    assert f"the process of run {start.left[0]} is gone, and the run is closed as KILLED" in caplog.text


def test_of_several_runs_the_newest_is_resumed_and_the_others_are_closed(killed: dict[str, Start]) -> None:
    start = killed["several"]
    old, new = start.left
    with start() as again:
        assert again.run.run_id == new
    assert start.summary_of(old).status == "KILLED"
    assert start.summary_of(old).tags["killed"].endswith(f"run {new} is resumed")


def test_a_run_unknown_to_the_store_is_resumed_from_this_disk(killed: dict[str, Start]) -> None:
    start = killed["away"]
    assert start.left[0].startswith("local-")
    assert tracking.inputs_of(start.settings, start.left[0]) == ("ratings.csv", start.settings)
    with start(resume=start.left[0]) as again:
        assert again.run.run_id == start.left[0]
        assert again.resumed
        CheckpointFolder(again.folder).write({"training": {}})
    # Left open again, as no error ended the block; the next start finds it by itself.
    with start() as again:
        assert again.run.run_id == start.left[0]
        assert again.run.journal_folder is not None
        assert [point.value for point in tracking.Journal(again.run.journal_folder).history("train/loss")] == [0.5]


def test_a_live_run_is_never_touched(start: Start) -> None:
    with start() as live:
        CheckpointFolder(live.folder).write({"training": {}})
        with start() as new:
            assert new.run.run_id != live.run.run_id
        summary = start.summary_of(live.run.run_id)
        assert summary.status == "RUNNING"
        assert "killed" not in summary.tags


@pytest.mark.parametrize(("age", "status"), [(STALE_SECONDS - 60, "RUNNING"), (STALE_SECONDS + 1, "KILLED")])
def test_a_run_of_another_machine_is_closed_once_its_lease_is_stale(
    age: float, status: str, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()  # it stands still, so that the age does not depend on the test's speed
    monkeypatch.setattr("cfmodel.tracking.runs.leases.time", SimpleNamespace(time=lambda: now))
    beat = replace(Heartbeat.now(), system="another", host="another", time=now - age)
    theirs = tracking.start_run(start.settings.tracking, tags={**IDENTITY, LEASE_TAG: json.dumps(asdict(beat))})
    with start():
        pass
    assert start.summary_of(theirs.run_id).status == status


def test_other_kinds_of_runs_are_left_alone(start: Start) -> None:
    theirs = tracking.start_run(start.settings.tracking)
    with start():
        pass
    assert start.summary_of(theirs.run_id).status == "RUNNING"


@pytest.mark.parametrize(("error", "status"), [(ValueError("broken"), "FAILED"), (Stopped(), "KILLED")])
def test_a_block_that_ends_in_an_error_ends_the_run_and_keeps_its_checkpoints(
    error: BaseException, status: str, start: Start
) -> None:
    kept: list[OpenRun] = []

    def attempt() -> None:
        with start() as run:
            CheckpointFolder(run.folder).write({"training": {}})
            kept.append(run)
            raise error

    with pytest.raises(type(error)):
        attempt()
    assert start.summary_of(kept[0].run.run_id).status == status
    assert CheckpointFolder(kept[0].folder).newest() is not None


def test_a_stopped_run_is_not_resumed_unasked(start: Start) -> None:
    stopped = stopped_run(start)
    with start() as new:
        assert new.run.run_id != stopped.run.run_id
    assert start.summary_of(stopped.run.run_id).status == "KILLED"


def test_a_stopped_run_is_resumed_by_its_id(start: Start) -> None:
    stopped = stopped_run(start)
    with start(resume=stopped.run.run_id) as again:
        assert (again.run.run_id, again.resumed) == (stopped.run.run_id, True)
        assert start.summary_of(stopped.run.run_id).status == "RUNNING"


def test_a_stopped_run_is_resumed_by_a_retry_of_its_flow_run(start: Start) -> None:
    stopped = stopped_run(start, flow_run="f1")
    with start(flow_run="f2") as other:
        assert other.run.run_id != stopped.run.run_id
        tracking.end_run(other.run)
    with start(flow_run="f1") as again:
        assert again.run.run_id == stopped.run.run_id


def test_two_attempts_at_one_flow_run_are_refused(start: Start) -> None:
    with start(flow_run="f1") as live, pytest.raises(LeaseError, match=live.run.run_id), start(flow_run="f1"):
        pass


def test_what_cannot_be_resumed_is_refused_with_the_reason(start: Start, killed: dict[str, Start]) -> None:
    def refused(start: Start, run_id: str, kind: type[Exception], reason: str, **how: dict[str, str]) -> None:
        with pytest.raises(kind, match=reason), start(resume=run_id, **how):
            pass

    with start() as run:
        refused(start, run.run.run_id, LeaseError, "is being worked on")
        tracking.end_run(run.run)
    refused(start, run.run.run_id, CheckpointError, "cannot be resumed: it is finished")
    start, (left,) = killed["refused"], killed["refused"].left
    refused(start, left, CheckpointError, "there is no good checkpoint")
    refused(start, left, CheckpointError, "settings_digest was", identity=IDENTITY | {"settings_digest": "other"})
    assert start.summary_of(left).status == "RUNNING"  # a refusal changes nothing


def test_the_source_and_settings_of_a_run_are_read_back(start: Start) -> None:
    stopped = stopped_run(start)
    assert tracking.inputs_of(start.settings, stopped.run.run_id) == ("ratings.csv", start.settings)
    assert (stopped.folder / "run.json").stat().st_mode & 0o077 == 0
    elsewhere = PipelineSettings.of(start.settings.model_dump(), overrides={"runtime.data_dir": "absent"})
    with pytest.raises(CheckpointError, match=r"cannot be read .*runtime\.data_dir, set that"):
        tracking.inputs_of(elsewhere, stopped.run.run_id)
