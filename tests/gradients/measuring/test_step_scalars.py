"""The largest error and the rows touched of every step."""

import pytest
import torch

from cfmodel.gradients.measuring.step_scalars import StepReducer


@pytest.mark.parametrize("users", [20, 100_000])
def test_the_largest_error_and_the_rows_of_each_step_are_found_in_blocks(users: int) -> None:
    rng = torch.Generator().manual_seed(0)
    index = {side: torch.randint(0, 20, (70,), generator=rng) for side in ("user", "movie")}
    reducer, errors = StepReducer({"user": users, "movie": 20}, 16), torch.randn(70, generator=rng)
    for _ in range(2):
        reducer.begin(index, [16, 16, 16, 16, 6], count_rows=True)
        for number, step in enumerate(errors.split(16)):
            reducer.add(step.clone())
            if number == 1:
                reducer.reduce_errors()
                reducer.count_rows()
        reducer.reduce_errors()
        reducer.count_rows()
        seen = reducer.read()
        largest = [int(step.abs().argmax()) + 16 * number for number, step in enumerate(errors.split(16))]
        assert seen.largest_error.tolist() == errors[largest].abs().double().tolist()
        assert seen.user.tolist() == index["user"][largest].tolist()
        assert seen.rows_touched["movie"].tolist() == [len(set(step.tolist())) for step in index["movie"].split(16)]
