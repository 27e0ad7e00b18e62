"""When to stop, and what is kept."""

import math
from collections.abc import Callable
from typing import Any

import torch

from cfmodel.training.batching.batches import DeviceRatings
from cfmodel.training.epoch_records import EpochRecord
from cfmodel.training.fit import FitResult
from cfmodel.training.fitting import clamped_rmse
from cfmodel.training.stopping import EarlyStopping


def test_stopping_is_due_once_patience_runs_out() -> None:
    stopping = EarlyStopping(patience=2)
    due = []
    for epoch, rmse in enumerate([1.0, 0.9, 0.95, 0.92], start=1):
        stopping.improves(epoch, rmse)
        due.append(stopping.is_due)
    assert due == [False, False, False, True]
    assert (stopping.best_epoch, stopping.best_val_rmse) == (2, 0.9)


def test_the_earliest_of_equals_is_the_best() -> None:
    stopping = EarlyStopping(patience=5)
    assert [stopping.improves(epoch, 1.0) for epoch in (1, 2)] == [True, False]
    assert stopping.best_epoch == 1


def test_a_val_rmse_that_is_not_a_number_is_no_improvement() -> None:
    assert not EarlyStopping(patience=1).improves(1, math.nan)


def test_the_weights_of_the_best_epoch_are_kept(fitted: Callable[..., FitResult], planted: Any) -> None:
    records: list[object] = []
    # No penalty and large steps: it overfits within a few epochs.
    result = fitted(regularization=0.0, learning_rate=0.02, schedule="constant", patience=2, on_record=records.append)
    epochs = [record for record in records if isinstance(record, EpochRecord)]
    assert result.stopped_early
    assert result.epochs == len(epochs) == result.best_epoch + 2
    assert result.best_val_rmse == min(record.val_rmse for record in epochs if record.val_rmse is not None)
    assert [record.epoch for record in epochs if record.best][-1] == result.best_epoch
    val = DeviceRatings.of(planted.val, torch.device("cpu"))
    again = clamped_rmse(result.model, val, rating_min=result.rating_min, rating_max=result.rating_max)
    assert again == result.best_val_rmse


def test_without_val_every_epoch_runs_and_the_last_is_kept(fitted: Callable[..., FitResult]) -> None:
    result = fitted(val=False, epochs=3)
    assert (result.epochs, result.best_epoch, result.best_val_rmse, result.stopped_early) == (3, 3, None, False)
