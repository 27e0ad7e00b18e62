"""The reference engine: torch's own Adam."""

import pytest
import torch
from training_engines import chosen, drawn, engine_on, plan_of

from cfmodel.training.engines.autograd import AutogradEngine, build_torch_adam


@pytest.mark.parametrize(("adam", "kind"), [("all_rows", torch.optim.Adam), ("touched_rows", torch.optim.SparseAdam)])
def test_the_optimizer_is_the_one_of_torch_that_the_settings_name(adam: str, kind: type) -> None:
    settings = chosen(adam=adam)
    assert type(build_torch_adam(plan_of(drawn(20), settings).initial_model(), settings)) is kind


def test_the_learning_rate_of_each_step_is_that_of_the_schedule() -> None:
    engine, rates = engine_on(plan_of(drawn(64), chosen(schedule="linear", epochs=1)), AutogradEngine), []
    engine.run_epoch(1, on_progress=lambda fraction: rates.append(engine.learning_rate))
    assert rates == pytest.approx([0.02, 0.01])
