"""The learning-rate range test on ratings with a planted truth."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from cfmodel.config import TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import DataError
from cfmodel.training.fit import FitResult
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.range_test import (
    DIVERGED,
    HIGHEST_RATE,
    LOWEST_RATE,
    STEPS,
    RangeStep,
    RangeTest,
    range_test,
    zones_of,
)

CPU = torch.device("cpu")


def steps_of(planted: Any, *, val: RatingArrays | None = None, **settings: object) -> list[RangeStep]:
    return list(
        range_test(
            TrainingPlan.of(
                planted.train,
                planted.val if val is None else val,
                num_users=planted.num_users,
                num_movies=planted.num_movies,
                settings=TrainSettings(**settings),
                device=CPU,
            )
        )
    )


@pytest.fixture(scope="module")
def steps(planted: Any) -> list[RangeStep]:
    return steps_of(planted)


@pytest.fixture(scope="module")
def found(steps: list[RangeStep]) -> RangeTest:
    return zones_of(tuple(steps))


def test_the_rate_rises_by_the_same_factor_at_each_step(steps: list[RangeStep]) -> None:
    rates = np.array([step.learning_rate for step in steps])
    assert rates[0] == pytest.approx(LOWEST_RATE)
    assert np.diff(np.log(rates)) == pytest.approx(np.log(HIGHEST_RATE / LOWEST_RATE) / (STEPS - 1))
    assert [step.step for step in steps] == list(range(1, len(steps) + 1))


def test_the_test_ends_at_four_times_the_best_loss(steps: list[RangeStep]) -> None:
    losses = [step.smoothed_loss for step in steps]
    best = np.minimum.accumulate(losses)
    assert len(steps) < STEPS
    assert losses[-1] > DIVERGED * best[-1]
    assert all(loss <= DIVERGED * lowest for loss, lowest in zip(losses[:-1], best, strict=False))


def test_the_smoothed_loss_is_the_weighted_mean_of_the_losses(steps: list[RangeStep]) -> None:
    losses = np.array([step.loss for step in steps[:5]])
    weights = 0.5 ** np.arange(4, -1, -1)
    assert steps[4].smoothed_loss == pytest.approx((weights * losses).sum() / weights.sum())


def test_the_three_zones_are_in_order_with_the_suggestion_in_the_middle(found: RangeTest) -> None:
    assert LOWEST_RATE < found.too_low < found.suggestion < found.steepest < found.too_high < HIGHEST_RATE
    assert found.zone_of(found.too_low / 10) == "too low"
    assert found.zone_of(found.suggestion) == "just right"
    assert found.zone_of(found.too_high * 2) == "too high"


def test_training_with_the_suggestion_is_within_one_percent_of_the_best_of_a_grid(
    found: RangeTest, fitted: Callable[..., FitResult]
) -> None:
    def rmse(learning_rate: float) -> float:
        return float(fitted(learning_rate=learning_rate, embedding_dim=8).best_val_rmse or np.inf)

    best = min(rmse(rate) for rate in (0.001, 0.003, 0.01))
    assert rmse(found.suggestion) < 1.01 * best


def test_far_outside_the_zones_training_is_worse(found: RangeTest, fitted: Callable[..., FitResult]) -> None:
    def rmse(learning_rate: float) -> float:
        return float(fitted(learning_rate=learning_rate, embedding_dim=8, epochs=3).best_val_rmse or np.inf)

    assert rmse(found.too_low / 20) > rmse(found.suggestion)
    assert rmse(min(found.too_high * 20, 10.0)) > rmse(found.suggestion)


def test_the_same_seed_gives_the_same_test(planted: Any, steps: list[RangeStep]) -> None:
    assert steps_of(planted) == steps


def test_without_a_warm_validation_rating_the_loss_is_on_training_ratings(planted: Any) -> None:
    cold = replace(planted.val, user_idx=np.full(len(planted.val), -1, np.int32))
    assert zones_of(tuple(steps_of(planted, val=cold, embedding_dim=4))).suggestion > 0


def test_no_training_rating_is_refused(planted: Any) -> None:
    nothing = RatingArrays(*(column[:0] for column in (planted.train.user_idx, planted.train.movie_idx)), np.empty(0))
    with pytest.raises(DataError, match="0 ratings"):
        list(
            range_test(
                TrainingPlan.of(nothing, planted.val, num_users=1, num_movies=1, settings=TrainSettings(), device=CPU)
            )
        )


def test_ratings_that_are_all_equal_are_refused(planted: Any) -> None:
    equal = replace(planted.train, rating=np.full(len(planted.train), 3.0, np.float32))
    watched = replace(planted.val, rating=np.full(len(planted.val), 3.0, np.float32))
    settings = TrainSettings(init_std=0.0)
    steps = range_test(TrainingPlan.of(equal, watched, num_users=200, num_movies=100, settings=settings, device=CPU))
    with pytest.raises(DataError, match="falls at no learning rate"):
        zones_of(tuple(steps))
