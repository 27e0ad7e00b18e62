"""What a training told is told again in the same order, to the last bit."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cfmodel.gradients.recording.gradient_records import MonitorCost, StepSample
from cfmodel.gradients.recording.plain_json import to_plain
from cfmodel.training.epoch_records import EpochRecord, StepProgress
from cfmodel.training.fit import FitResult
from cfmodel.training.resuming.record_replay import RecordReplay, unpacked


@pytest.fixture
def told(fitted: Callable[..., FitResult]) -> list[Any]:
    records: list[Any] = []
    fitted(epochs=2, batch_size=1000, on_record=records.append)
    return [record for record in records if not isinstance(record, StepProgress)]


def plain(records: list[Any]) -> list[Any]:
    return [(type(record).__name__, to_plain(record)) for record in records]


def test_records_are_handed_on_as_they_come(told: list[Any]) -> None:
    heard: list[Any] = []
    log = RecordReplay(heard.append)
    passing = StepProgress("fit", 1, 2, 0.5)
    for record in [*told, passing]:
        log(record)
    assert heard == [*told, passing]


def test_all_but_passing_progress_is_told_again_in_order_and_to_the_last_bit(told: list[Any]) -> None:
    kinds = {type(record).__name__ for record in told}
    assert {"InitialRecord", "StepBlock", "StepSample", "EpochGradients", "EpochRecord", "MonitorCost"} <= kinds
    log = RecordReplay(lambda _: None)
    for record in told:
        log(record)
        log(StepProgress("fit", 1, 2, 0.5))
    again: list[Any] = []
    RecordReplay(again.append).replay(log.tensors())
    assert plain(again) == plain(told)
    sample = next(record for record in again if isinstance(record, StepSample))
    assert sample.tables["user_embeddings"].gradient_counts.dtype == np.int64


def test_a_log_that_was_told_again_goes_on(told: list[Any]) -> None:
    whole, first = RecordReplay(lambda _: None), RecordReplay(lambda _: None)
    for number, record in enumerate(told):
        whole(record)
        if number < 5:
            first(record)
    first.tensors()  # packing does not end it
    second = RecordReplay(lambda _: None)
    second.replay(first.tensors())
    for record in told[5:]:
        second(record)
    assert plain(list(unpacked(second.tensors()))) == plain(told)
    for name, tensor in whole.tensors().items():
        assert np.array_equal(tensor.numpy(), second.tensors()[name].numpy(), equal_nan=tensor.is_floating_point())


def test_an_empty_log_tells_nothing() -> None:
    assert list(unpacked(RecordReplay(lambda _: None).tensors())) == []


def test_numbers_that_are_not_finite_come_back() -> None:
    record = EpochRecord("fit", 1, 2, 3, math.inf, 0.1 + 0.2, None, True, 1e-3, {"user_biases": math.nan}, 1, 0, 1, 1)
    cost = MonitorCost("fit", 0.1, 0.2, 0.5, 16, 1, 5)
    log = RecordReplay(lambda _: None)
    for each in (record, cost):
        log(each)
    again = list(unpacked(log.tensors()))
    assert plain(again) == plain([record, cost])
    assert math.isnan(again[0].grad_norms["user_biases"])
    assert again[0].val_rmse is None


def test_records_of_a_block_are_held_back_until_it_ends_and_passing_progress_is_not(told: list[Any]) -> None:
    heard: list[Any] = []
    log, passing = RecordReplay(heard.append), StepProgress("fit", 1, 2, 0.5)
    with log.held():
        log(told[0])
        log(passing)
        assert heard == [passing]
    assert heard == [passing, told[0]]
    assert plain(list(unpacked(log.tensors()))) == plain(told[:1])


def test_what_a_failed_attempt_told_can_be_forgotten(told: list[Any]) -> None:
    heard: list[Any] = []
    log = RecordReplay(heard.append)
    with log.held() as forget:
        log(told[0])
        forget()
        log(told[1])
    assert heard == [told[1]]


def test_an_error_does_not_swallow_what_is_held(told: list[Any]) -> None:
    heard: list[Any] = []
    log = RecordReplay(heard.append)

    def attempt() -> None:
        with log.held():
            log(told[0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        attempt()
    assert heard == [told[0]]
