"""An engine, a fit and a process left between any two steps of an epoch go on to the same bits and the same records."""

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from outcomes import PATHS, digest_of_tables, without_the_clock
from torch import Tensor

from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.gradients.recording.gradient_records import EpochGradients, MonitorCost, StepBlock, StepSample
from cfmodel.training.engines.autograd import AutogradEngine
from cfmodel.training.engines.base import AdamState
from cfmodel.training.engines.cpu.engine import FusedEngine
from cfmodel.training.engines.cuda.engine import CudaEngine
from cfmodel.training.epoch_records import EpochRecord, StepProgress
from cfmodel.training.fit import FitResult, fit
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.resuming.adam_state import copied
from cfmodel.training.resuming.checkpoint_policy import CheckpointPolicy
from cfmodel.training.resuming.checkpoints import CheckpointFolder
from cfmodel.training.resuming.interrupts import Interrupted
from cfmodel.training.step_log import NO_STEPS, StepLog

CPU = torch.device("cpu")
USERS, MOVIES, RATINGS = 60, 35, 640
ENGINES: dict[str, Any] = {"autograd": AutogradEngine, "fused": FusedEngine, "fused for cuda": CudaEngine}

#: Trains in a process of its own, which sends itself a signal at a report of the second epoch.
DRIVER = """
import os, signal, sys
from pathlib import Path
from cfmodel.training.resuming.interrupts import heard_between_steps
from cfmodel.training.epoch_records import StepProgress
from tests.training.test_within_an_epoch import fitted
def listen(record):
    if isinstance(record, StepProgress) and record.epoch == 2 and record.fraction == 0.5:
        os.kill(os.getpid(), int(sys.argv[2]))
with heard_between_steps() as should_stop:
    fitted(Path(sys.argv[1]), listen, every=float(sys.argv[3]), should_stop=should_stop, engine="autograd")
"""


class Killed(BaseException):
    """Ends a training like a kill: nothing is written on the way out."""


@pytest.fixture(autouse=True)
def _reports_between_any_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cfmodel.training.engines.cpu.engine._STRETCH", 1)


def drawn(seed: int = 0) -> RatingArrays:
    rng = np.random.default_rng(seed)
    user, movie = ((rng.random(RATINGS) ** 2 * rows).astype(np.int32) for rows in (USERS, MOVIES))
    return RatingArrays(user, movie, rng.integers(1, 6, RATINGS).astype(np.float32))


def chosen(**how: Any) -> TrainSettings:
    return TrainSettings(**{"embedding_dim": 5, "epochs": 3, "init_std": 0.3, "learning_rate": 0.02, **how})


def engine_of(kind: str, how: TrainSettings, *, blocks: int, batch_size: int) -> Any:
    settings = how.model_copy(update={"regularization": 0.05, "blocks": blocks})
    plan = TrainingPlan.of(drawn(), None, num_users=USERS, num_movies=MOVIES, settings=settings, batch_size=batch_size)
    return ENGINES[kind](plan.initial_model(), plan.batches(), plan)


def left_behind(engine: Any) -> tuple[dict[str, Tensor], AdamState, StepLog]:
    adam = engine.adam()
    moments = AdamState(adam.step, copied(adam.first_moments), copied(adam.second_moments))
    return copied(engine.model.state_dict()), moments, engine.log()


def assert_same_log(one: StepLog, other: StepLog) -> None:
    for name, array in one.arrays().items():
        assert array.dtype == other.arrays()[name].dtype
        assert array.tobytes() == other.arrays()[name].tobytes(), name


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("adam", ["touched_rows", "all_rows"])
@pytest.mark.parametrize(
    ("blocks", "batch_size", "steps"),
    [(1, 40, 16), (4, 40, 16), (8, 40, 16), (4, 120, 4)],
    ids=["one cell", "dealt visits", "visits not dealt", "few steps"],
)
def test_an_engine_goes_on_from_between_any_two_steps_as_if_it_had_never_stopped(
    kind: str, adam: str, blocks: int, batch_size: int, steps: int
) -> None:
    how = chosen(adam=adam)
    whole, left = engine_of(kind, how, blocks=blocks, batch_size=batch_size), {}

    def leave(fraction: float) -> None:
        left[round(fraction * steps)] = left_behind(whole)

    whole.run_epoch(1, on_progress=lambda _: None)
    log = whole.run_epoch(2, on_progress=leave)
    assert len(log) == steps
    assert list(left) == list(range(1, steps + 1))
    for done, (weights, moments, seen) in left.items():
        assert len(seen) == done
        if done == steps:
            continue
        resumed = engine_of(kind, how, blocks=blocks, batch_size=batch_size)
        resumed.model.load_state_dict(weights)
        resumed.resume(moments)
        reports: list[float] = []
        assert_same_log(resumed.run_epoch(2, on_progress=reports.append, after=seen), log)
        assert reports == [each / steps for each in left if each > done]
        assert resumed.adam().step == whole.adam().step == 2 * steps
        for name, table in resumed.model.state_dict().items():
            assert torch.equal(table, whole.model.state_dict()[name]), (done, name)
        for name in moments.first_moments:
            assert torch.equal(resumed.adam().first_moments[name], whole.adam().first_moments[name])
            assert torch.equal(resumed.adam().second_moments[name], whole.adam().second_moments[name])
        resumed.close()
    whole.close()


def test_a_log_is_itself_after_no_steps_and_comes_back_from_its_arrays() -> None:
    engine = engine_of("fused", chosen(), blocks=1, batch_size=40)
    log = engine.run_epoch(1, on_progress=lambda _: None)
    assert log.after(NO_STEPS) is log
    assert_same_log(StepLog.of(log.arrays(), log.tables), log)
    alone = StepLog.of(replace(log, scalars=None).arrays(), log.tables)
    assert alone.scalars is None


def fitted(
    folder: Path | None,
    on_record: Callable[[Any], None],
    *,
    every: float = 0.0,
    monitor: MonitorSettings | None = MonitorSettings(sample_every=4),
    should_stop: Callable[[], bool] = lambda: False,
    **how: Any,
) -> FitResult:
    """Fit to the first 600 ratings, a checkpoint written at every report from `every` seconds on."""
    checkpoints = CheckpointPolicy(
        CheckpointFolder(folder) if folder else None, every_seconds=every, most_share=math.inf
    )
    checkpoints.begin(on_record)
    ratings = drawn()
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
            settings=chosen(**{"batch_size": 30, **how}),
            device=CPU,
            monitor=MonitorSettings(enabled=False) if monitor is None else monitor,
        ),
        on_record=on_record,
        checkpoints=checkpoints,
        should_stop=should_stop,
    )


def digest_of(result: FitResult) -> str:
    """Return the SHA-256 of what was learned, and of what Adam remembers beside it."""
    weights, memory = result.model.state_dict(), result.adam
    said = result.best_val_rmse, result.best_epoch
    return digest_of_tables(weights, memory.first_moments, memory.second_moments, said=said)


def killed_at(epoch: int, fraction: float) -> Callable[[Any], None]:
    """Return a listener that kills at the first report from this share of an epoch on."""

    def listen(record: Any) -> None:
        if isinstance(record, StepProgress) and record.epoch == epoch and record.fraction >= fraction:
            raise Killed

    return listen


def at_asking(number: int) -> Callable[[], bool]:
    """Return what says to stop when it is asked for the so-many-th time."""
    asked = count(1)
    return lambda: next(asked) == number


def position(folder: Path) -> tuple[int, int]:
    """Return the epochs done, and the steps done of the next, of the newest checkpoint."""
    found = CheckpointFolder(folder).newest()
    assert found is not None
    state = found["training"]["fitting"]
    return state["epoch"], len(state["within"]["log"]["sizes"]) if state["within"] else 0


@pytest.mark.parametrize(
    "how", [{"engine": "autograd"}, {"engine": "fused"}, {"engine": "fused", "blocks": 4}], ids=["autograd", "1", "4"]
)
@pytest.mark.parametrize("monitor", [MonitorSettings(sample_every=4), None], ids=["watched", "not watched"])
def test_a_fit_killed_within_epochs_goes_on_from_the_very_step(
    how: dict[str, Any], monitor: MonitorSettings | None, tmp_path: Path
) -> None:
    told: list[Any] = []
    whole = digest_of(fitted(None, told.append, monitor=monitor, **how))
    for epoch, fraction in ((1, 0.3), (1, 0.9), (2, 0.1), (3, 0.5)):
        with pytest.raises(Killed):
            fitted(tmp_path, killed_at(epoch, fraction), monitor=monitor, **how)
        done, steps = position(tmp_path)
        assert done == epoch - 1
        assert steps in {round(fraction * 20) - 1, math.ceil(fraction * 16) - 1}  # of 20 steps, or of 16
    again: list[Any] = []
    assert digest_of(fitted(tmp_path, again.append, monitor=monitor, **how)) == whole
    assert without_the_clock(again) == without_the_clock(told)


def test_a_fit_told_to_stop_leaves_the_very_step(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        fitted(tmp_path, lambda _: None, every=3600, should_stop=at_asking(29), engine="autograd")
    assert position(tmp_path) == (1, 9)  # an epoch is asked about 19 times within and once at its end
    assert len(list(tmp_path.glob("*.safetensors"))) == 2  # the first was written before the first step


def test_told_to_stop_at_the_end_of_an_epoch_it_leaves_that(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        fitted(tmp_path, lambda _: None, every=3600, should_stop=at_asking(60), engine="autograd")
    assert position(tmp_path) == (3, 0)
    whole = fitted(None, lambda _: None, engine="autograd")
    assert digest_of(fitted(tmp_path, lambda _: None, engine="autograd")) == digest_of(whole)


def test_while_the_monitor_times_the_first_steps_there_is_nothing_to_go_on_from(tmp_path: Path) -> None:
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
def test_a_process_that_a_signal_ends_within_an_epoch_goes_on_from_there(
    number: signal.Signals, every: float, tmp_path: Path
) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": PATHS}
    command = [sys.executable, "-c", DRIVER, str(tmp_path), str(int(number)), str(every)]
    assert subprocess.run(command, env=environment, check=False).returncode == -number
    # A kill finds the step before its own on disk; what is told to stop writes its own.
    assert position(tmp_path) == (1, 9 if number == signal.SIGKILL else 10)
    again, told = [], []
    whole = fitted(None, told.append, engine="autograd")
    assert digest_of(fitted(tmp_path, again.append, engine="autograd")) == digest_of(whole)
    assert without_the_clock(again) == without_the_clock(told)


def test_an_epoch_that_was_left_took_the_seconds_before_and_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A clock by which nothing takes long but what is told to: each look at it takes a microsecond.
    looks, slept = count(1), [0.0]
    clock = SimpleNamespace(perf_counter=lambda: slept[0] + next(looks) / 1e6)
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
