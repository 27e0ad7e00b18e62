"""The recorder against a plain sink that takes, or cannot take, what it is given."""

import math
from collections.abc import Sequence

import pytest

from cfmodel.gradients.recording.gradient_records import MonitorCost
from cfmodel.tracking.outbox.entries import Point
from cfmodel.tracking.outbox.training_metrics import Recorder
from cfmodel.training.epoch_records import EpochRecord, Phase, StepProgress


def epoch(number: int, phase: Phase = "fit", *, val_rmse: float | None = 0.9, best: bool = False) -> EpochRecord:
    return EpochRecord(
        phase, number, 9, number, 0.5, 0.7, val_rmse, best, 0.001, {"user_biases": 0.1}, 0.2, 0.0, 0.1, 1e6
    )


class Points:
    """Keeps what it gets, once per key and step; takes nothing while its disk is full."""

    def __init__(self) -> None:
        self.points: dict[tuple[str, int], Point] = {}
        self.flushes = 0
        self.full = self.closed = False

    def write(self, points: Sequence[Point]) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        for point in points:
            self.points.setdefault((point.key, point.step), point)

    def last_step(self, key: str) -> int:
        return max((step for name, step in self.points if name == key), default=0)

    def flush(self) -> None:
        self.flushes += 1

    def close(self) -> None:
        self.closed = True

    def history(self, key: str) -> list[tuple[int, float]]:
        return [(point.step, point.value) for point in self.points.values() if point.key == key]


def test_epochs_that_come_fast_are_handed_on_together_and_lie_in_the_sink_at_once() -> None:
    sink = Points()
    with Recorder(sink, flush_seconds=math.inf) as record:
        for number in range(1, 101):
            record(epoch(number))
            assert sink.last_step("train/loss") == number
    assert (sink.flushes, sink.closed) == (1, True)
    assert sink.history("train/loss") == [(number, 0.5) for number in range(1, 101)]


def test_each_epoch_is_handed_on_where_no_pause_is_asked_for() -> None:
    sink = Points()
    record = Recorder(sink, flush_seconds=0)
    for number in (1, 2, 3):
        record(epoch(number))
        assert sink.flushes == number


def test_what_is_no_epoch_hands_nothing_on() -> None:
    sink = Points()
    with Recorder(sink, flush_seconds=0) as record:
        record(StepProgress("fit", 1, 5, 0.5))
        record("anything")
    assert (sink.flushes, sink.points) == (0, {})


def test_the_best_epoch_so_far_is_recorded_as_it_comes_and_the_refit_does_not_touch_it() -> None:
    sink = Points()
    with Recorder(sink, flush_seconds=0) as record:
        record(epoch(1, val_rmse=0.9, best=True))
        record(epoch(2, val_rmse=0.8, best=True))
        record(epoch(3, val_rmse=0.85))
        record(epoch(1, "refit", val_rmse=None, best=True))
    assert sink.history("best_epoch") == [(1, 1.0), (2, 2.0)]
    assert sink.history("best_val_rmse") == [(1, 0.9), (2, 0.8)]
    assert sink.history("val/rmse") == [(1, 0.9), (2, 0.8), (3, 0.85)]
    assert sink.history("refit/train/rmse") == [(1, 0.7)]


def test_a_recorder_that_goes_on_where_another_ended_puts_the_cost_at_the_last_epoch() -> None:
    sink = Points()
    Recorder(sink)(epoch(7, "refit"))
    Recorder(sink)(MonitorCost("refit", 0.1, 2.0, 0.05, sample_every=4, epoch_every=1, samples=9))
    assert sink.history("refit/monitor/samples") == [(7, 9.0)]


def test_what_a_full_disk_does_not_take_waits_in_memory_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    sink = Points()
    record = Recorder(sink, flush_seconds=0)
    sink.full = True
    for number in (1, 2, 3):
        record(epoch(number))
    sink.full = False
    record(epoch(4))
    record.close()
    assert [step for step, _ in sink.history("train/loss")] == [1, 2, 3, 4]
    assert [message.message for message in caplog.records] == [
        "metrics cannot be written now, training continues and keeps them in memory: [Errno 28] No space left on device"
    ]


def test_a_disk_that_stays_full_is_an_error_at_the_end() -> None:
    sink = Points()
    record = Recorder(sink)
    sink.full = True
    record(epoch(1))
    with pytest.raises(OSError, match="No space left"):
        record.close()


def test_an_error_of_the_training_is_not_hidden_by_what_cannot_be_recorded() -> None:
    def train(record: Recorder) -> None:
        record(epoch(1))
        raise ZeroDivisionError

    sink = Points()
    sink.full = True
    with pytest.raises(ZeroDivisionError), Recorder(sink) as recorder:
        train(recorder)
