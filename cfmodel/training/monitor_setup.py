"""Where the monitor, which knows names and tensors alone, meets the model, its optimiser and its ratings."""

import torch

from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.gradients.measuring.monitor import Monitor
from cfmodel.gradients.measuring.pace import Plan
from cfmodel.training.batching.batches import DeviceRatings
from cfmodel.training.batching.row_counts import RowCounts
from cfmodel.training.engines.base import Engine
from cfmodel.training.epoch_records import TABLES, OnRecord, Phase


def monitor_of(
    engine: Engine,
    ratings: RatingArrays,
    counts: RowCounts,
    *,
    train_settings: TrainSettings,
    settings: MonitorSettings,
    phase: Phase,
    epochs: int,
    batch_size: int,
    steps: int,
    regularization: float,
    on_record: OnRecord,
) -> Monitor:
    """Return a monitor of a model that is about to be trained.

    Args:
        engine: What trains it.
        ratings: What it will learn from.
        counts: How many of them each row has.
        train_settings: How it will learn.
        settings: How closely to look.
        phase: What the records call this training.
        epochs: Most epochs it will run.
        batch_size: Ratings in a step.
        steps: Steps of an epoch.
        regularization: Weight of the penalty.
        on_record: Takes each record as it is made.
    """

    model, device = engine.model, engine.model.global_mean.device
    tables = {name: model.get_submodule(name).get_parameter("weight") for name in TABLES}
    return Monitor(
        tables,
        DeviceRatings.sharing(ratings, device),
        {side: torch.from_numpy(of_side).to(device) for side, of_side in counts._asdict().items()},
        plan=Plan(
            phase=phase,
            epochs=epochs,
            batch_size=batch_size,
            steps=steps,
            learning_rate=train_settings.learning_rate,
            max_grad_norm=train_settings.max_grad_norm,
            regularization=regularization,
            phases=2 if train_settings.refit else 1,
            all_rows=train_settings.adam == "all_rows",
        ),
        settings=settings,
        emit=on_record,
        second_moments=lambda: engine.adam().second_moments,
    )
