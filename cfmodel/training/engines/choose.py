"""The choice of an engine."""

from typing import NamedTuple

import torch

from cfmodel.errors import ConfigError
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import Batches
from cfmodel.training.engines.protocol import Engine
from cfmodel.training.engines.row_layout import cannot_train
from cfmodel.training.planning.plan import TrainingPlan

#: Devices with a fused engine, and why it is the default there.
_FUSED = {
    "cpu": "compiled steps, the fastest on the CPU at every size and dimension measured",
    "cuda": "closed-form steps replayed as a CUDA graph, which never wait for the host",
}


class Choice(NamedTuple):
    """The name of an engine and the reason for the choice, for people."""

    name: str
    reason: str


def choose(wanted: str, device: torch.device, model: type[CollaborativeFiltering] = CollaborativeFiltering) -> Choice:
    """Choose the engine for a device and a model.

    Args:
        wanted: `train.engine`.
        device: Where to train.
        model: Class of the model.

    Raises:
        ConfigError: The engine asked for does not run on that device, or cannot train the model.
    """
    if wanted == "autograd":
        return Choice(wanted, "set by train.engine")
    unsupported, cannot = device.type not in _FUSED, cannot_train(model)
    if wanted == "auto":
        if unsupported:
            return Choice("autograd", f"there is no other engine for {device.type}")
        if cannot:
            return Choice("autograd", f"the fused engine cannot train this model: {cannot}")
        return Choice("fused", _FUSED[device.type])
    if unsupported:
        raise ConfigError(f"train.engine: 'fused' runs on the CPU and on CUDA, not on {device}; use 'auto'")
    if cannot:
        raise ConfigError(f"train.engine: 'fused' cannot train this model: {cannot}; use 'auto' or 'autograd'")
    return Choice(wanted, "set by train.engine")


def engine_for(model: CollaborativeFiltering, batches: Batches, plan: TrainingPlan) -> Engine:
    """Return the engine that the plan's settings ask for, ready to train the model."""
    # Imported on use: a process that does not train on the CPU need not wait for the compiler.
    if choose(plan.settings.engine, plan.device, type(model)).name == "autograd":
        from cfmodel.training.engines.autograd import AutogradEngine

        return AutogradEngine(model, batches, plan)
    if plan.device.type == "cuda":
        from cfmodel.training.engines.cuda.engine import CudaEngine

        return CudaEngine(model, batches, plan)
    from cfmodel.training.engines.cpu.engine import CpuEngine

    return CpuEngine(model, batches, plan, threads=torch.get_num_threads())
