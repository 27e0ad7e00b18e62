"""The log of an epoch's steps."""

from dataclasses import replace

import numpy as np
import pytest
from training_engines import drawn, trained

from cfmodel.errors import DivergedError
from cfmodel.training.engines.cpu.engine import CpuEngine
from cfmodel.training.engines.step_log import NO_STEPS, StepLog


@pytest.fixture(scope="module")
def log() -> StepLog:
    return trained(CpuEngine, drawn(640), batch_size=40)[1]


def test_a_log_is_itself_after_no_steps_and_is_restored_from_its_arrays(log: StepLog) -> None:
    assert log.after(NO_STEPS) is log
    again = StepLog.of(log.arrays(), log.tables)
    assert {name: array.tobytes() for name, array in again.arrays().items()} == {
        name: array.tobytes() for name, array in log.arrays().items()
    }
    assert {name: array.dtype for name, array in again.arrays().items()} == {
        name: array.dtype for name, array in log.arrays().items()
    }
    alone = StepLog.of(replace(log, scalars=None).arrays(), log.tables)
    assert alone.scalars is None


def test_losses_are_averaged_over_ratings_and_norms_over_steps(log: StepLog) -> None:
    uneven = replace(log, sizes=np.arange(1, len(log) + 1))
    summary = uneven.summary(epoch=1, steps_before=0, rating_std=20.0)
    assert summary.train_loss == pytest.approx((uneven.loss * uneven.sizes).sum() / uneven.sizes.sum())
    squares = (uneven.mean_squared_error * uneven.sizes).sum() / uneven.sizes.sum()
    assert summary.train_rmse == pytest.approx(20 * squares**0.5)  # in rating units
    assert summary.total_grad_norm == pytest.approx(uneven.total_norm.mean())


def test_the_first_step_that_is_not_finite_is_named(log: StepLog) -> None:
    broken = replace(log, loss=np.where(np.arange(len(log)) >= 3, np.nan, log.loss))
    assert not broken.is_finite
    with pytest.raises(DivergedError, match="epoch 2: loss or gradient is not finite from step 20 of 32 on") as raised:
        broken.summary(epoch=2, steps_before=16, rating_std=1.0)
    assert raised.value.step == 20
