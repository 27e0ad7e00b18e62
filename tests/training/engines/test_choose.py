"""The choice of an engine."""

import pytest
import torch
from training_engines import chosen, drawn, plan_of

from cfmodel.errors import ConfigError
from cfmodel.training.engines.autograd import AutogradEngine
from cfmodel.training.engines.choose import choose, engine_for
from cfmodel.training.engines.cpu.engine import CpuEngine

CPU = torch.device("cpu")


def test_the_fastest_engine_is_chosen_and_a_wrong_one_refused() -> None:
    assert choose("auto", CPU).name == "fused"
    assert choose("auto", torch.device("cuda")).name == "fused"
    assert choose("auto", torch.device("mps")).name == "autograd"
    assert choose("autograd", CPU).name == "autograd"
    with pytest.raises(ConfigError, match="runs on the CPU and on CUDA, not on mps"):
        choose("fused", torch.device("mps"))


@pytest.mark.parametrize(("name", "kind"), [("autograd", AutogradEngine), ("fused", CpuEngine), ("auto", CpuEngine)])
def test_the_engine_of_the_settings_is_built(name: str, kind: type) -> None:
    plan = plan_of(drawn(50), chosen(engine=name))
    engine = engine_for(plan.initial_model(), plan.batches(), plan)
    assert type(engine) is kind
    engine.close()
