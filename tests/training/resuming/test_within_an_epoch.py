"""A fit and a process that stop within an epoch resume to the same bits and the same records."""

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from compared_trainings import PATHS, digest_of_tables, without_the_clock
from training_engines import chosen, drawn

from cfmodel.config import MonitorSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.gradients.recording.gradient_records import EpochGradients, MonitorCost, StepBlock, StepSample
from cfmodel.training.epoch_records import EpochRecord, StepProgress
from cfmodel.training.fit import FitResult, fit
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.resuming.checkpoint_policy import CheckpointPolicy
from cfmodel.training.resuming.checkpoints import CheckpointFolder
from cfmodel.training.resuming.interrupts import Interrupted

CPU = torch.device("cpu")
USERS, MOVIES = 60, 35

#: Trains in a process of its own, which sends itself a signal in the second epoch.
DRIVER = """
import os, signal, sys
from pathlib import Path
from cfmodel.training.resuming.interrupts import defer_signals
from cfmodel.training.epoch_records import StepProgress
from tests.training.resuming.test_within_an_epoch import fitted
def listen(record):
    if isinstance(record, StepProgress) and record.epoch == 2 and record.fraction == 0.5:
        os.kill(os.getpid(), int(sys.argv[2]))
with defer_signals() as should_stop:
    fitted(Path(sys.argv[1]), listen, every=float(sys.argv[3]), should_stop=should_stop, engine="autograd")
"""


class Killed(BaseException):
    """Ends a training like a kill: nothing is written at the end."""


@pytest.fixture(autouse=True)
def _reports_between_any_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cfmodel.training.engines.cpu.engine._STRETCH", 1)


def fitted(
    folder: Path | None,
    on_record: Callable[[Any], None],
    *,
    every: float = 0.0,
    monitor: MonitorSettings | None = MonitorSettings(sample_every=4),
    should_stop: Callable[[], bool] = lambda: False,
    **how: Any,
) -> FitResult:
    """Fit to the first 600 ratings, with a checkpoint at every report after `every` seconds."""
    checkpoints = CheckpointPolicy(
        CheckpointFolder(folder) if folder else None, every_seconds=every, most_share=math.inf
    )
    checkpoints.begin(on_record)
    ratings = drawn(640, USERS, MOVIES)
    train, val = (
        RatingArrays(ratings.user_idx[part], ratings.movie_idx[part], ratings.rating[part])
        for part in (slice(600), slice(600, None))
    )
    return fit(
        TrainingPlan.of(
            train,
            val,
            num_users=USERS,
            num_movies=MOVIES,
            settings=chosen(**{"epochs": 3, "batch_size": 30, **how}),
            device=CPU,
            monitor=MonitorSettings(enabled=False) if monitor is None else monitor,
        ),
        on_record=on_record,
        checkpoints=checkpoints,
        should_stop=should_stop,
    )


def digest_of(result: FitResult) -> str:
    """Return the SHA-256 of the weights and of Adam's state."""
    weights, adam = result.model.state_dict(), result.adam
    facts = result.best_val_rmse, result.best_epoch
    return digest_of_tables(weights, adam.first_moments, adam.second_moments, facts=facts)


def killed_at(epoch: int, fraction: float) -> Callable[[Any], None]:
    """Return an `on_record` that kills at the first report from this fraction of an epoch on."""

    def listen(record: Any) -> None:
        if isinstance(record, StepProgress) and record.epoch == epoch and record.fraction >= fraction:
            raise Killed

    return listen


def stop_at_call(number: int) -> Callable[[], bool]:
    """Return a `should_stop` that returns True at one of its calls."""
    calls = count(1)
    return lambda: next(calls) == number


def position(folder: Path) -> tuple[int, int]:
    """Return the newest checkpoint's epochs, and the steps of the next epoch."""
    found = CheckpointFolder(folder).newest()
    assert found is not None
    state = found["training"]["fitting"]
    return state["epoch"], len(state["within"]["log"]["sizes"]) if state["within"] else 0


@pytest.mark.parametrize(
    "how", [{"engine": "autograd"}, {"engine": "fused"}, {"engine": "fused", "blocks": 4}], ids=["autograd", "1", "4"]
)
@pytest.mark.parametrize("monitor", [MonitorSettings(sample_every=4), None], ids=["monitored", "not monitored"])
def test_a_fit_killed_within_epochs_resumes_from_the_step_of_the_checkpoint(
    how: dict[str, Any], monitor: MonitorSettings | None, tmp_path: Path
) -> None:
    recorded: list[Any] = []
    whole = digest_of(fitted(None, recorded.append, monitor=monitor, **how))
    for epoch, fraction in ((1, 0.3), (1, 0.9), (2, 0.1), (3, 0.5)):
        with pytest.raises(Killed):
            fitted(tmp_path, killed_at(epoch, fraction), monitor=monitor, **how)
        done, steps = position(tmp_path)
        assert done == epoch - 1
        assert steps in {round(fraction * 20) - 1, math.ceil(fraction * 16) - 1}  # of 20 steps, or of 16
    again: list[Any] = []
    assert digest_of(fitted(tmp_path, again.append, monitor=monitor, **how)) == whole
    assert without_the_clock(again) == without_the_clock(recorded)


def test_a_fit_that_must_stop_writes_its_current_step(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        fitted(tmp_path, lambda _: None, every=3600, should_stop=stop_at_call(29), engine="autograd")
    assert position(tmp_path) == (1, 9)  # 19 calls within an epoch and one at its end
    assert len(list(tmp_path.glob("*.safetensors"))) == 2  # the first was written before the first step


def test_a_fit_that_must_stop_at_the_end_of_an_epoch_writes_that_epoch(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        fitted(tmp_path, lambda _: None, every=3600, should_stop=stop_at_call(60), engine="autograd")
    assert position(tmp_path) == (3, 0)
    whole = fitted(None, lambda _: None, engine="autograd")
    assert digest_of(fitted(tmp_path, lambda _: None, engine="autograd")) == digest_of(whole)


def test_while_the_monitor_times_the_first_steps_no_step_is_written(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        fitted(tmp_path, killed_at(1, 15 / 20), monitor=MonitorSettings(), engine="autograd")
    assert position(tmp_path) == (0, 0)
    with pytest.raises(Killed):
        fitted(tmp_path, killed_at(1, 19 / 20), monitor=MonitorSettings(), engine="autograd")
    assert position(tmp_path) == (0, 18)
    records: list[Any] = []
    fitted(tmp_path, records.append, monitor=MonitorSettings(), engine="autograd")
    blocks = [(each.epoch, each.first_step, len(each.loss)) for each in records if isinstance(each, StepBlock)]
    assert blocks == [(1, 1, 20), (2, 21, 20), (3, 41, 20)]
    steps = [each.step for each in records if isinstance(each, StepSample)]
    assert steps == sorted(set(steps))
    assert {1, 4, 16} <= set(steps)
    (cost,) = (each for each in records if isinstance(each, MonitorCost))
    assert cost.samples == len(steps)
    assert {1, 3} <= {each.epoch for each in records if isinstance(each, EpochGradients)}


@pytest.mark.parametrize(("number", "every"), [(signal.SIGKILL, 0.0), (signal.SIGTERM, 3600.0)])
def test_a_process_ended_by_a_signal_within_an_epoch_resumes_there(
    number: signal.Signals, every: float, tmp_path: Path
) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": PATHS}
    command = [sys.executable, "-c", DRIVER, str(tmp_path), str(int(number)), str(every)]
    assert subprocess.run(command, env=environment, check=False).returncode == -number
    # A kill leaves the checkpoint of the step before; SIGTERM writes the current step.
    assert position(tmp_path) == (1, 9 if number == signal.SIGKILL else 10)
    again, recorded = [], []
    whole = fitted(None, recorded.append, engine="autograd")
    assert digest_of(fitted(tmp_path, again.append, engine="autograd")) == digest_of(whole)
    assert without_the_clock(again) == without_the_clock(recorded)


def test_the_duration_of_a_resumed_epoch_includes_the_seconds_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A clock that advances by a microsecond per reading, and by a second on demand.
    readings, slept = count(1), [0.0]
    clock = SimpleNamespace(perf_counter=lambda: slept[0] + next(readings) / 1e6)
    for module in ("fit", "fitting"):
        monkeypatch.setattr(f"cfmodel.training.{module}.time", clock)

    def slow(record: Any) -> None:
        if isinstance(record, StepProgress) and (record.epoch, record.fraction) == (2, 0.25):
            slept[0] += 1.0
        killed_at(2, 0.5)(record)

    with pytest.raises(Killed):
        fitted(tmp_path, slow, engine="autograd")
    records: list[Any] = []
    fitted(tmp_path, records.append, engine="autograd")
    seconds = {each.epoch: each.seconds for each in records if isinstance(each, EpochRecord)}
    assert seconds[2] > 1.0 > seconds[3]
