"""Which engine trains, and why."""

from typing import NamedTuple

import torch

from cfmodel.config import TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import ConfigError
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import Batches
from cfmodel.training.engines.base import Engine

#: Devices with a fused engine, and why it is the one to take there.
FUSED = {
    "cpu": "compiled steps, the fastest on the CPU at every size and dimension measured",
    "cuda": "closed-form steps replayed as a CUDA graph, which never wait for the host",
}


class Choice(NamedTuple):
    """An engine by name, and why it was taken, for people."""

    name: str
    reason: str


def choose(wanted: str, device: torch.device) -> Choice:
    """Choose the engine for a device.

    Args:
        wanted: `train.engine`.
        device: Where to learn.

    Raises:
        ConfigError: The engine asked for does not run on that device.
    """
    if wanted == "auto":
        if device.type in FUSED:
            return Choice("fused", FUSED[device.type])
        return Choice("autograd", f"there is no other engine for {device.type}")
    if wanted == "fused" and device.type not in FUSED:
        raise ConfigError(f"train.engine: 'fused' runs on the CPU and on CUDA, not on {device}; use 'auto'")
    return Choice(wanted, "asked for by train.engine")


def engine_for(
    model: CollaborativeFiltering,
    train: RatingArrays,
    batches: Batches,
    *,
    settings: TrainSettings,
    regularization: float,
) -> Engine:
    """Return the engine that the settings ask for, ready to train the model; see the engines' own arguments."""
    device = model.global_mean.device
    # Imported where taken: a process that does not train on the CPU need not wait for the compiler.
    if choose(settings.engine, device).name == "autograd":
        from cfmodel.training.engines.autograd import AutogradEngine

        return AutogradEngine(model, train, batches, settings=settings, regularization=regularization)
    if device.type == "cuda":
        from cfmodel.training.engines.cuda.engine import CudaEngine

        return CudaEngine(model, train, batches, settings=settings, regularization=regularization)
    from cfmodel.training.engines.cpu.engine import FusedEngine

    return FusedEngine(
        model, train, batches, settings=settings, regularization=regularization, threads=torch.get_num_threads()
    )
