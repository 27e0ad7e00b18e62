"""Records of a training are emitted again in the same order, bit for bit."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cfmodel.gradients.recording.gradient_records import MonitorCost, StepSample
from cfmodel.gradients.recording.plain_json import to_plain
from cfmodel.training.epoch_records import EpochRecord, StepProgress
from cfmodel.training.fit import FitResult
from cfmodel.training.resuming.record_replay import RecordReplay, unpack_records


@pytest.fixture
def recorded(fitted: Callable[..., FitResult]) -> list[Any]:
    records: list[Any] = []
    fitted(epochs=2, batch_size=1000, on_record=records.append)
    return [record for record in records if not isinstance(record, StepProgress)]


def plain(records: list[Any]) -> list[Any]:
    return [(type(record).__name__, to_plain(record)) for record in records]


def test_records_are_forwarded_at_once(recorded: list[Any]) -> None:
    received: list[Any] = []
    log = RecordReplay(received.append)
    progress = StepProgress("fit", 1, 2, 0.5)
    for record in [*recorded, progress]:
        log(record)
    assert received == [*recorded, progress]


def test_all_records_but_progress_are_emitted_again_in_order_and_bit_for_bit(recorded: list[Any]) -> None:
    kinds = {type(record).__name__ for record in recorded}
    assert {"InitialRecord", "StepBlock", "StepSample", "EpochGradients", "EpochRecord", "MonitorCost"} <= kinds
    log = RecordReplay()
    for record in recorded:
        log(record)
        log(StepProgress("fit", 1, 2, 0.5))
    again: list[Any] = []
    RecordReplay(again.append).replay(log.tensors())
    assert plain(again) == plain(recorded)
    sample = next(record for record in again if isinstance(record, StepSample))
    assert sample.tables["user_embeddings"].gradient_counts.dtype == np.int64


def test_a_replayed_log_can_be_extended(recorded: list[Any]) -> None:
    whole, first = RecordReplay(), RecordReplay()
    for number, record in enumerate(recorded):
        whole(record)
        if number < 5:
            first(record)
    first.tensors()  # packing does not change it
    second = RecordReplay()
    second.replay(first.tensors())
    for record in recorded[5:]:
        second(record)
    assert plain(list(unpack_records(second.tensors()))) == plain(recorded)
    for name, tensor in whole.tensors().items():
        assert np.array_equal(tensor.numpy(), second.tensors()[name].numpy(), equal_nan=tensor.is_floating_point())


def test_an_empty_log_emits_nothing() -> None:
    assert list(unpack_records(RecordReplay().tensors())) == []


def test_numbers_that_are_not_finite_are_read_back() -> None:
    record = EpochRecord("fit", 1, 2, 3, math.inf, 0.1 + 0.2, None, True, 1e-3, {"user_biases": math.nan}, 1, 0, 1, 1)
    cost = MonitorCost("fit", 0.1, 0.2, 0.5, 16, 1, 5)
    log = RecordReplay()
    for each in (record, cost):
        log(each)
    again = list(unpack_records(log.tensors()))
    assert plain(again) == plain([record, cost])
    assert math.isnan(again[0].grad_norms["user_biases"])
    assert again[0].val_rmse is None


def test_records_of_a_block_are_deferred_to_its_end_but_progress_is_not(recorded: list[Any]) -> None:
    received: list[Any] = []
    log, progress = RecordReplay(received.append), StepProgress("fit", 1, 2, 0.5)
    with log.deferred():
        log(recorded[0])
        log(progress)
        assert received == [progress]
    assert received == [progress, recorded[0]]
    assert plain(list(unpack_records(log.tensors()))) == plain(recorded[:1])


def test_records_of_a_failed_attempt_can_be_discarded(recorded: list[Any]) -> None:
    received: list[Any] = []
    log = RecordReplay(received.append)
    with log.deferred() as discard:
        log(recorded[0])
        discard()
        log(recorded[1])
    assert received == [recorded[1]]


def test_an_error_does_not_lose_the_deferred_records(recorded: list[Any]) -> None:
    received: list[Any] = []
    log = RecordReplay(received.append)

    def attempt() -> None:
        with log.deferred():
            log(recorded[0])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        attempt()
    assert received == [recorded[0]]
