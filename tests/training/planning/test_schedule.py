"""The learning-rate schedules."""

from collections.abc import Callable

import pytest

from cfmodel.config import TrainSettings
from cfmodel.training.epoch_records import EpochRecord
from cfmodel.training.fit import FitResult
from cfmodel.training.planning.schedule import learning_rate_at


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("constant", [0.01, 0.01, 0.01]), ("linear", [0.01, 0.0075, 0.0]), ("cosine", [0.01, 0.00853553, 0.0])],
)
def test_values_at_the_start_a_quarter_and_the_end(schedule: str, expected: list[float]) -> None:
    settings = TrainSettings(learning_rate=0.01, schedule=schedule)
    assert [learning_rate_at(progress, settings) for progress in (0.0, 0.25, 1.0)] == pytest.approx(expected)


def test_a_training_cut_short_keeps_the_horizon_of_the_schedule(fitted: Callable[..., FitResult]) -> None:
    rates = {}
    for epochs in (2, 4):
        records: list[object] = []
        fitted(epochs=epochs, on_record=records.append, val=False, schedule="linear", learning_rate=0.01)
        rates[epochs] = [record.learning_rate for record in records if isinstance(record, EpochRecord)]
    assert rates[2] == rates[4][:2]
    assert rates[2][-1] == pytest.approx(0.01 * (1 - 2 / TrainSettings().epochs), rel=0.01)
