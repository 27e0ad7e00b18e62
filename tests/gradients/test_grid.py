"""The laws of the grid that sampled steps come from."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cfmodel.config import MonitorSettings
from cfmodel.gradients.measuring.pace import LARGE, Costs, MonitorPlan, Pace
from cfmodel.gradients.measuring.sampled_steps import ALWAYS, MOST_SAMPLES, choose_every, next_sampled, on_grid

powers = st.integers(0, 12).map(lambda exponent: 2**exponent)
PLAN = MonitorPlan("fit", 15, 64, 1_000, 0.003, 1.0, 0.1)


@given(powers, st.integers(1, 20_000))
def test_a_coarser_grid_is_a_part_of_a_finer_one(every: int, step: int) -> None:
    assert not on_grid(step, 2 * every) or on_grid(step, every)
    assert not on_grid(step, None) or on_grid(step, every)


@given(powers | st.none(), st.integers(0, 300), st.integers(1, 600) | st.none())
def test_the_next_step_looked_at_is_the_first_on_the_grid_among_the_first_few_or_at_the_end(
    every: int | None, step: int, end: int | None
) -> None:
    looked_at = (later for later in range(step + 1, 5000) if on_grid(later, every) or later in (*ALWAYS, end))
    assert next_sampled(step, every, end=end) == next(looked_at, None)


@given(st.integers(1, 100_000), st.floats(1e-6, 1.0), st.floats(-1.0, 100.0))
def test_what_is_chosen_is_a_power_of_two_that_fits_and_half_of_it_would_not(
    steps: int, cost: float, budget: float
) -> None:
    def fits(every: int) -> bool:
        return steps // every <= MOST_SAMPLES and (steps // every * cost <= budget or every > steps)

    every = choose_every(steps, cost=cost, budget=budget)
    assert every & (every - 1) == 0
    assert fits(every)
    assert every == 1 or not fits(every // 2)


def chosen(num_ratings: int, costs: Costs, **settings: float) -> Pace:
    pace = Pace(num_ratings, replace(PLAN, steps=-(-num_ratings // PLAN.batch_size)), MonitorSettings(**settings))
    pace.costs = costs
    pace.choose_samples(spent=0.0)
    pace.choose_epochs(spent=0.0, step=0)
    return pace


def test_a_large_training_may_spend_a_share_of_its_time() -> None:
    costs = Costs(sample=1e-3, epoch=1e-3, training=1e-3)
    once, twice = (chosen(LARGE, costs, budget_fraction=share) for share in (0.01, 0.02))
    assert once.sample_every is not None
    assert once.sample_every == 2 * (twice.sample_every or 0) or twice.planned_steps // MOST_SAMPLES > 0


def test_a_small_training_may_spend_a_fixed_time_however_long_it_takes() -> None:
    slow, fast = (chosen(10_000, Costs(sample=1e-3, epoch=1e-3, training=each)) for each in (1.0, 1e-4))
    assert (slow.sample_every, slow.epoch_every) == (fast.sample_every, fast.epoch_every)


def test_with_no_budget_left_a_few_steps_and_the_first_epochs_are_looked_at() -> None:
    pace = chosen(10_000, Costs(sample=1.0, epoch=1.0))
    assert [step for step in range(1, pace.planned_steps + 1) if pace.next_sample(step - 1) == step] == [1, 4, 16]
    assert [epoch for epoch in range(1, 16) if pace.looks_after(epoch)] == [1, 2]


def test_the_ends_of_some_epochs_are_looked_at_whatever_the_budget() -> None:
    pace = chosen(10_000, Costs(sample=1.0, epoch=1.0))
    assert [epoch for epoch in range(1, 16) if pace.ends(epoch)] == [1, 2, 4, 8, 15]
    assert [step for step in range(1, 301) if pace.next_sample(step - 1, end=157) == step] == [1, 4, 16, 157]


def test_an_interval_that_is_set_is_kept() -> None:
    pace = Pace(10_000, PLAN, MonitorSettings(sample_every=4))
    assert not pace.is_open(1000)
    assert [step for step in range(1, 21) if pace.next_sample(step - 1) == step] == [1, 4, 8, 12, 16, 20]
