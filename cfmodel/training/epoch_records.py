"""The records that training emits: one per epoch, and progress."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cfmodel.gradients.recording.gradient_records import GradientRecord

#: `fit` trains on train and validates on val; `refit` trains on both, for the best number of epochs.
Phase = Literal["fit", "refit"]


@dataclass(frozen=True)
class EpochRecord:
    """One finished epoch.

    Attributes:
        phase: The phase.
        epoch: Number of the epoch, from 1.
        epochs: Most epochs of the phase.
        step: Updates since the phase began.
        train_loss: Mean over the epoch's ratings of each batch's loss before its update, penalty included; 1 is what
            predicting the mean of all ratings costs.
        train_rmse: Root mean squared error of the same predictions, in rating units; not clamped.
        val_rmse: RMSE on val after the epoch, predictions clamped to the training range; None without val.
        best: Whether this is the best val RMSE so far.
        learning_rate: Step size of the epoch's last update.
        grad_norms: Mean over the steps of each table's gradient norm before clipping, by table.
        total_grad_norm: Mean over the steps of the joint gradient norm.
        clipped_fraction: Share of steps whose gradient was scaled down.
        seconds: Duration of the epoch, val included.
        ratings_per_second: Training ratings per second, val not included.
    """

    phase: Phase
    epoch: int
    epochs: int
    step: int
    train_loss: float
    train_rmse: float
    val_rmse: float | None
    best: bool
    learning_rate: float
    grad_norms: dict[str, float]
    total_grad_norm: float
    clipped_fraction: float
    seconds: float
    ratings_per_second: float


@dataclass(frozen=True)
class StartRecord:
    """The start of a phase, which counts as epoch 0 when the best epoch is chosen.

    Attributes:
        phase: The phase.
        val_rmse: RMSE on val of the initial weights, predictions clamped, in rating units.
        bias_start: Where biases start, as in the settings.
    """

    phase: Phase
    val_rmse: float
    bias_start: Literal["closed_form", "zero"]


@dataclass(frozen=True)
class StepProgress:
    """Progress within an epoch, about twenty times an epoch.

    Attributes:
        phase: The phase.
        epoch: Number of the current epoch, from 1.
        epochs: Most epochs of the phase.
        fraction: Share of the epoch's updates done.
    """

    phase: Phase
    epoch: int
    epochs: int
    fraction: float


#: Receives every record; `list.append` is one.
OnRecord = Callable[[StartRecord | EpochRecord | StepProgress | GradientRecord], None]
