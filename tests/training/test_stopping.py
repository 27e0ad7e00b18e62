"""Early stopping."""

import math

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


def test_a_start_that_is_best_stays_best_but_does_not_cost_patience() -> None:
    stopping = EarlyStopping(patience=2)
    stopping.improves(0, 1.0)
    due = []
    for epoch, rmse in enumerate([1.05, 1.03, 1.02, 1.04, 1.04], start=1):
        assert not stopping.improves(epoch, rmse)
        due.append(stopping.is_due)
    assert due == [False, False, False, False, True]
    assert (stopping.best_epoch, stopping.best_val_rmse) == (0, 1.0)
