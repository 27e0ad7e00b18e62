"""The sampling schedule: intervals that fit the budget."""

from dataclasses import replace

import pytest

from cfmodel.config import MonitorSettings, PipelineSettings
from cfmodel.errors import ConfigError
from cfmodel.gradients.measuring.sampled_steps import MOST_SAMPLES
from cfmodel.gradients.measuring.sampling_schedule import LARGE, MeasuredCosts, MonitorPlan, SamplingSchedule

PLAN = MonitorPlan("fit", 15, 64, 1_000, 0.003, 1.0, 0.1)


def chosen(num_ratings: int, costs: MeasuredCosts, **settings: float) -> SamplingSchedule:
    schedule = SamplingSchedule(
        num_ratings, replace(PLAN, steps=-(-num_ratings // PLAN.batch_size)), MonitorSettings(**settings)
    )
    schedule.costs = costs
    schedule.choose_sample_interval(spent=0.0)
    schedule.choose_epoch_interval(spent=0.0, step=0)
    return schedule


def test_the_budget_of_a_large_training_is_a_share_of_its_time() -> None:
    costs = MeasuredCosts(sample=1e-3, epoch=1e-3, training=1e-3)
    once, twice = (chosen(LARGE, costs, budget_fraction=share) for share in (0.01, 0.02))
    assert once.sample_every is not None
    assert once.sample_every == 2 * (twice.sample_every or 0) or twice.planned_steps // MOST_SAMPLES > 0


def test_the_budget_of_a_small_training_is_a_fixed_time() -> None:
    slow, fast = (chosen(10_000, MeasuredCosts(sample=1e-3, epoch=1e-3, training=each)) for each in (1.0, 1e-4))
    assert (slow.sample_every, slow.epoch_every) == (fast.sample_every, fast.epoch_every)


def test_without_a_budget_a_few_steps_and_the_first_epochs_are_measured() -> None:
    schedule = chosen(10_000, MeasuredCosts(sample=1.0, epoch=1.0))
    assert [step for step in range(1, schedule.planned_steps + 1) if schedule.next_sample(step - 1) == step] == [
        1,
        4,
        16,
    ]
    assert [epoch for epoch in range(1, 16) if schedule.measures_tables(epoch)] == [1, 2]


def test_the_ends_of_some_epochs_are_sampled_whatever_the_budget() -> None:
    schedule = chosen(10_000, MeasuredCosts(sample=1.0, epoch=1.0))
    assert [epoch for epoch in range(1, 16) if schedule.samples_end_of(epoch)] == [1, 2, 4, 8, 15]
    assert [step for step in range(1, 301) if schedule.next_sample(step - 1, end=157) == step] == [1, 4, 16, 157]


def test_a_fixed_interval_does_not_change() -> None:
    schedule = SamplingSchedule(10_000, PLAN, MonitorSettings(sample_every=4))
    assert not schedule.must_choose_after(1000)
    assert [step for step in range(1, 21) if schedule.next_sample(step - 1) == step] == [1, 4, 8, 12, 16, 20]


def test_an_interval_that_is_not_a_power_of_two_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"monitor.sample_every: must be a power of two \(given: 50\)"):
        PipelineSettings.of(overrides={"monitor.sample_every": 50})
