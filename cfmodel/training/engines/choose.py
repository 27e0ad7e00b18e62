"""Which engine trains, and why."""

from typing import NamedTuple

import torch

from cfmodel.config import TrainSettings
from cfmodel.data.parts import RatingArrays
from cfmodel.errors import ConfigError
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batches import Batches
from cfmodel.training.engines.base import Engine


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
        if device.type == "cpu":
            return Choice("fused", "compiled steps, the fastest on the CPU")
        return Choice("autograd", f"the engine for {device.type}")
    if wanted == "fused" and device.type != "cpu":
        raise ConfigError(f"train.engine: 'fused' runs on the CPU, not on {device}; use 'auto'")
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
    if choose(settings.engine, model.global_mean.device).name == "fused":
        # Imported here: a process that does not train on the CPU need not wait for the compiler.
        from cfmodel.training.engines.fused import FusedEngine

        return FusedEngine(
            model, train, batches, settings=settings, regularization=regularization, threads=torch.get_num_threads()
        )
    from cfmodel.training.engines.autograd import AutogradEngine

    return AutogradEngine(model, train, batches, settings=settings, regularization=regularization)
