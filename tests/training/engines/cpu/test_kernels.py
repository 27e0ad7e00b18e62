"""The compiled update step, worked by hand."""

import numpy as np
import pytest
import torch
from training_engines import ADAMS, chosen, drawn, engine_on, plan_of

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.training.engines.cpu.engine import CpuEngine


@pytest.mark.parametrize("adam", ADAMS)
def test_a_first_step_moves_each_number_with_a_gradient_by_the_learning_rate(adam: str) -> None:
    one = RatingArrays(np.zeros(1, np.int32), np.zeros(1, np.int32), np.ones(1, np.float32))
    engine = engine_on(plan_of(one, chosen(adam=adam, schedule="constant"), batch_size=1), CpuEngine)
    before = {name: table.detach().clone() for name, table in engine.model.weights().items()}
    engine.run_epoch(1, on_progress=lambda fraction: None)
    for name, table in engine.model.weights().items():
        moved = (table.detach() - before[name]).abs()
        torch.testing.assert_close(moved[0], torch.full_like(moved[0], 0.02), rtol=1e-4, atol=0)
        assert not moved[1:].any(), name


def test_the_log_counts_the_ratings_and_the_distinct_rows_of_each_step() -> None:
    ratings = drawn(64)
    engine = engine_on(plan_of(ratings, chosen(), batch_size=64), CpuEngine)
    log = engine.run_epoch(1, on_progress=lambda fraction: None)
    assert log.sizes.tolist() == [64]
    assert log.scalars is not None
    touched = {side: counts.tolist() for side, counts in log.scalars.rows_touched.items()}
    assert touched == {"user": [len(set(ratings.user_idx))], "movie": [len(set(ratings.movie_idx))]}
