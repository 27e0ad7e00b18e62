"""The recorder against plain functions that take, or refuse, what it sends."""

from collections.abc import Sequence

import pytest

from cfmodel.errors import TrackingError
from cfmodel.recorder import Point, Recorder
from cfmodel.training.records import EpochRecord, Phase, StepProgress


def epoch(number: int, phase: Phase = "fit", *, val_rmse: float | None = 0.9, best: bool = False) -> EpochRecord:
    return EpochRecord(
        phase, number, 9, number, 0.5, 0.7, val_rmse, best, 0.001, {"user_biases": 0.1}, 0.2, 0.0, 0.1, 1e6
    )


class Store:
    """Keeps the batches it gets; refuses them while it is away."""

    def __init__(self) -> None:
        self.batches: list[list[Point]] = []
        self.calls = 0
        self.away = False

    def __call__(self, points: Sequence[Point]) -> None:
        self.calls += 1
        if self.away:
            raise ConnectionError("nobody there")
        self.batches.append(list(points))

    def history(self, key: str) -> list[tuple[int, float]]:
        return [(point.step, point.value) for batch in self.batches for point in batch if point.key == key]


def test_epochs_that_come_fast_are_sent_together() -> None:
    store = Store()
    with Recorder(store, where="store", flush_seconds=60) as record:
        for number in range(1, 101):
            record(epoch(number))
    assert len(store.batches) == 2
    assert store.history("train/loss") == [(number, 0.5) for number in range(1, 101)]


def test_each_epoch_is_one_batch_where_no_pause_is_asked_for() -> None:
    store = Store()
    record = Recorder(store, where="store", flush_seconds=0)
    for number in (1, 2, 3):
        record(epoch(number))
        assert len(store.batches) == number
    assert not record.pending


def test_what_is_no_epoch_sends_nothing() -> None:
    store = Store()
    with Recorder(store, where="store", flush_seconds=0) as record:
        record(StepProgress("fit", 1, 5, 0.5))
        record("anything")
    assert store.calls == 0


def test_the_best_epoch_of_the_fit_is_recorded_at_the_end_and_the_refit_does_not_touch_it() -> None:
    store = Store()
    with Recorder(store, where="store", flush_seconds=0) as record:
        record(epoch(1, val_rmse=0.9, best=True))
        record(epoch(2, val_rmse=0.8, best=True))
        record(epoch(3, val_rmse=0.85))
        record(epoch(1, "refit", val_rmse=None, best=True))
    assert (store.history("best_epoch"), store.history("best_val_rmse")) == ([(2, 2.0)], [(2, 0.8)])
    assert (store.history("val/rmse"), store.history("refit/train/rmse")) == (
        [(1, 0.9), (2, 0.8), (3, 0.85)],
        [(1, 0.7)],
    )


def test_a_store_that_comes_back_misses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    record = Recorder(store, where="store", flush_seconds=0, retry_seconds=0)
    store.away = True
    for number in (1, 2, 3):
        record(epoch(number))
    store.away = False
    record(epoch(4))
    record.close()
    assert [step for step, _ in store.history("train/loss")] == [1, 2, 3, 4]
    assert [message.message for message in caplog.records] == [
        "store does not take metrics, training goes on and keeps them: nobody there"
    ]


def test_a_store_that_is_away_is_left_alone_for_a_while() -> None:
    store = Store()
    store.away = True
    record = Recorder(store, where="store", flush_seconds=0, retry_seconds=60)
    for number in range(1, 11):
        record(epoch(number))
    assert store.calls == 1
    with pytest.raises(TrackingError, match=r"store: 90 metric points of epochs 1 to 10 were not recorded: nobody"):
        record.close()


def test_an_error_of_the_training_is_not_hidden_by_a_store_that_is_away() -> None:
    def train(record: Recorder) -> None:
        record(epoch(1))
        raise ZeroDivisionError

    store = Store()
    store.away = True
    with pytest.raises(ZeroDivisionError), Recorder(store, where="store") as recorder:
        train(recorder)
