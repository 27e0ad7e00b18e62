"""Where the monitor, which knows names and tensors alone, meets the model, its optimiser and its ratings."""

import torch
from torch import Tensor

from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.gradients.monitor import Monitor
from cfmodel.gradients.pace import Plan
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batches import DeviceRatings
from cfmodel.training.records import TABLES, OnRecord, Phase


def monitor_of(
    model: CollaborativeFiltering,
    optimizer: torch.optim.Optimizer,
    ratings: DeviceRatings,
    *,
    train_settings: TrainSettings,
    settings: MonitorSettings,
    phase: Phase,
    epochs: int,
    batch_size: int,
    regularization: float,
    on_record: OnRecord,
) -> Monitor:
    """Return a monitor of a model that is about to be trained.

    Args:
        model: The tables, untrained.
        optimizer: Adam, or one that keeps no second moments.
        ratings: What it will learn from, on the model's device.
        train_settings: How it will learn.
        settings: How closely to look.
        phase: What the records call this training.
        epochs: Most epochs it will run.
        batch_size: Ratings in a step.
        regularization: Weight of the penalty.
        on_record: Takes each record as it is made.
    """

    def second_moments(table: Tensor) -> Tensor | None:
        moments: Tensor | None = optimizer.state.get(table, {}).get("exp_avg_sq")
        return moments

    return Monitor(
        {name: model.get_submodule(name).get_parameter("weight") for name in TABLES},
        ratings,
        plan=Plan(
            phase=phase,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=train_settings.learning_rate,
            max_grad_norm=train_settings.max_grad_norm,
            regularization=regularization,
            phases=2 if train_settings.refit else 1,
        ),
        settings=settings,
        emit=on_record,
        second_moments=second_moments,
    )
