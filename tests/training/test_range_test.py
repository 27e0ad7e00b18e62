"""The learning-rate range test on ratings with a planted truth."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from cfmodel.config import TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import DataError, DivergedError
from cfmodel.training.fit import FitResult, fit
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.range_test import (
    DIVERGED,
    HIGHEST_RATE,
    LOWEST_RATE,
    STEPS,
    RangeStep,
    RangeTest,
    range_test,
    try_rates,
    zones_of,
)

CPU = torch.device("cpu")


def plan_of(planted: Any, **settings: Any) -> TrainingPlan:
    return TrainingPlan.of(
        planted.train,
        planted.val,
        num_users=planted.num_users,
        num_movies=planted.num_movies,
        settings=TrainSettings(**settings),
        device=CPU,
    )


@pytest.fixture(scope="module")
def plan(planted: Any) -> TrainingPlan:
    return plan_of(planted)


@pytest.fixture(scope="module")
def steps(plan: TrainingPlan) -> list[RangeStep]:
    return list(range_test(plan))


@pytest.fixture(scope="module")
def found(steps: list[RangeStep], plan: TrainingPlan) -> RangeTest:
    return zones_of(tuple(steps), plan)


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


def test_the_same_seed_gives_the_same_test(plan: TrainingPlan, steps: list[RangeStep]) -> None:
    assert list(range_test(plan)) == steps


def test_biases_start_at_zero_in_the_test_so_that_there_is_something_to_learn(
    plan: TrainingPlan, steps: list[RangeStep]
) -> None:
    assert plan.start
    # Before anything is learned the error is the spread of the ratings.
    assert steps[0].loss == pytest.approx(float(np.mean(plan.val.rating**2)), rel=0.01)  # type: ignore[union-attr]


def test_a_training_of_fewer_steps_gets_a_higher_suggestion(
    plan: TrainingPlan, steps: list[RangeStep], found: RangeTest
) -> None:
    def suggested(**changes: Any) -> float:
        return zones_of(tuple(steps), replace(plan, **changes)).suggestion

    shorter, larger_batches = suggested(epochs=5), suggested(batch_size=4 * plan.batch_size)
    assert shorter == pytest.approx(3**0.9 * found.suggestion)
    assert larger_batches == pytest.approx(4**0.42 * found.suggestion)
    assert suggested(epochs=60) < found.suggestion
    assert suggested(epochs=1, batch_size=len(plan.train)) <= HIGHEST_RATE


def test_without_a_warm_validation_rating_the_loss_is_on_training_ratings(planted: Any) -> None:
    cold = replace(planted.val, user_idx=np.full(len(planted.val), -1, np.int32))
    plan = plan_of(replace(planted, val=cold), embedding_dim=4)
    assert zones_of(tuple(range_test(plan)), plan).suggestion > 0


def test_no_training_rating_is_refused(planted: Any) -> None:
    nothing = RatingArrays(*(column[:0] for column in (planted.train.user_idx, planted.train.movie_idx)), np.empty(0))
    with pytest.raises(DataError, match="0 ratings"):
        list(
            range_test(
                TrainingPlan.of(nothing, planted.val, num_users=1, num_movies=1, settings=TrainSettings(), device=CPU)
            )
        )


@pytest.mark.parametrize("init_std", [0.0, 0.01])
def test_ratings_that_are_all_equal_are_refused(planted: Any, init_std: float) -> None:
    equal = replace(planted.train, rating=np.full(len(planted.train), 3.0, np.float32))
    watched = replace(planted.val, rating=np.full(len(planted.val), 3.0, np.float32))
    plan = plan_of(replace(planted, train=equal, val=watched), init_std=init_std)
    with pytest.raises(DataError, match="the loss falls at no learning rate"):
        zones_of(tuple(range_test(plan)), plan)


class Trainings:
    """Stands for `fit`: RMSE by rate, and rates that diverge; counts what was trained."""

    def __init__(self, rmse: Callable[[float], float], *, diverges_from: float = np.inf) -> None:
        self.rmse, self.diverges_from = rmse, diverges_from
        self.rates: list[float] = []

    def __call__(self, plan: TrainingPlan) -> SimpleNamespace:
        rate = plan.settings.learning_rate
        self.rates.append(rate)
        if rate >= self.diverges_from:
            raise DivergedError("diverged", step=1)
        return SimpleNamespace(best_val_rmse=self.rmse(rate), best_epoch=3)


def valley(best: float) -> Callable[[float], float]:
    return lambda rate: 1 + float(np.log2(rate / best)) ** 2


@pytest.mark.parametrize("best", [0.0005, 0.004, 0.032])
def test_rates_are_tried_until_both_sides_of_the_best_are_worse(
    best: float, plan: TrainingPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = Trainings(valley(best))
    monkeypatch.setattr("cfmodel.training.range_test.fit", trainings)
    trials = list(try_rates(plan, 0.004, most=20))
    chosen = min(trials, key=lambda trial: trial.val_rmse)
    assert chosen.learning_rate == pytest.approx(best)
    tried = sorted(trial.learning_rate for trial in trials)
    assert tried == pytest.approx(sorted(set(tried)))  # each once
    assert tried[0] <= best / 2
    assert tried[-1] >= 2 * best
    assert all(b == pytest.approx(2 * a) for a, b in itertools.pairwise(tried))
    assert trainings.rates == [trial.learning_rate for trial in trials]
    assert trainings.rates[:2] == pytest.approx([0.004, 0.008])


@pytest.mark.parametrize("most", [0, 1, 2, 4])
def test_no_more_rates_are_tried_than_allowed(most: int, plan: TrainingPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings = Trainings(valley(1e-4))
    monkeypatch.setattr("cfmodel.training.range_test.fit", trainings)
    assert len(list(try_rates(plan, 0.01, most=most))) == len(trainings.rates) == most


def test_a_rate_that_diverges_counts_as_worse_and_is_left_out(
    plan: TrainingPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = Trainings(valley(0.016), diverges_from=0.015)
    monkeypatch.setattr("cfmodel.training.range_test.fit", trainings)
    trials = list(try_rates(plan, 0.004, most=20))
    assert [trial.learning_rate for trial in trials] == pytest.approx([0.004, 0.008])
    assert trainings.rates == pytest.approx([0.004, 0.008, 0.016])


def test_rates_beyond_what_settings_allow_are_not_tried(plan: TrainingPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings = Trainings(valley(100.0))
    monkeypatch.setattr("cfmodel.training.range_test.fit", trainings)
    list(try_rates(plan, 6.0, most=20))
    assert max(trainings.rates) == 6.0


def test_a_trial_is_a_whole_training_at_its_rate(planted: Any) -> None:
    plan = plan_of(planted, epochs=2, embedding_dim=4)
    (trial,) = try_rates(plan, 0.01, most=1)
    same = fit(replace(plan, settings=plan.settings.model_copy(update={"learning_rate": 0.01})))
    assert (trial.learning_rate, trial.val_rmse, trial.best_epoch) == (0.01, same.best_val_rmse, same.best_epoch)
