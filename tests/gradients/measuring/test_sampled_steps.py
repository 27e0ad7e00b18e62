"""Sampled steps: the laws of the nested intervals."""

from hypothesis import given
from hypothesis import strategies as st

from cfmodel.gradients.measuring.sampled_steps import (
    ALWAYS,
    MOST_SAMPLES,
    choose_interval,
    is_milestone,
    next_sampled,
    on_grid,
)

powers = st.integers(0, 12).map(lambda exponent: 2**exponent)


@given(powers, st.integers(1, 20_000))
def test_the_steps_of_a_larger_interval_are_among_those_of_a_smaller_one(every: int, step: int) -> None:
    assert not on_grid(step, 2 * every) or on_grid(step, every)
    assert not on_grid(step, None) or on_grid(step, every)


@given(powers | st.none(), st.integers(0, 300), st.integers(1, 600) | st.none())
def test_the_next_sampled_step_is_a_multiple_or_one_of_the_first_few_or_the_end(
    every: int | None, step: int, end: int | None
) -> None:
    sampled = (later for later in range(step + 1, 5000) if on_grid(later, every) or later in (*ALWAYS, end))
    assert next_sampled(step, every, end=end) == next(sampled, None)


@given(st.integers(1, 100_000), st.floats(1e-6, 1.0), st.floats(-1.0, 100.0))
def test_the_interval_is_the_smallest_power_of_two_that_fits_the_budget(steps: int, cost: float, budget: float) -> None:
    def fits(every: int) -> bool:
        return steps // every <= MOST_SAMPLES and (steps // every * cost <= budget or every > steps)

    every = choose_interval(steps, cost=cost, budget=budget)
    assert every & (every - 1) == 0
    assert fits(every)
    assert every == 1 or not fits(every // 2)


def test_milestones_are_the_powers_of_two() -> None:
    assert [epoch for epoch in range(1, 40) if is_milestone(epoch)] == [1, 2, 4, 8, 16, 32]
