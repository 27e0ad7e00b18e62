"""What training says while it runs: frozen records, handed to a callable."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cfmodel.gradients.recording.gradient_records import GradientRecord

#: `fit` learns on train and watches val; `refit` learns on both, for the epochs fit found best.
Phase = Literal["fit", "refit"]


@dataclass(frozen=True)
class EpochRecord:
    """One finished epoch.

    Attributes:
        phase: Which of the two trainings it belongs to.
        epoch: Number of the epoch, from 1.
        epochs: Most epochs this phase will run.
        step: Updates done since the phase began.
        train_loss: Mean over the epoch's ratings of the loss each batch had before its update, penalty included.
        train_rmse: Root mean squared error of the same predictions, in rating units; not clamped.
        val_rmse: RMSE on val after the epoch, predictions clamped to the training range; None without val.
        best: Whether this is the best val RMSE so far.
        learning_rate: Step size of the epoch's last update.
        grad_norms: Mean over the steps of each table's gradient norm before clipping, keyed by table.
        total_grad_norm: The same over all tables together.
        clipped_fraction: Share of steps whose gradient was scaled down.
        seconds: How long the epoch took, val included.
        ratings_per_second: Training ratings over the seconds spent on them, val not included.
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
class StepProgress:
    """How far a phase has come, for progress bars; some twenty an epoch.

    Attributes:
        phase: Which of the two trainings it belongs to.
        epoch: Number of the epoch under way, from 1.
        epochs: Most epochs this phase will run.
        fraction: Share of that epoch's updates done.
    """

    phase: Phase
    epoch: int
    epochs: int
    fraction: float


#: Takes every record as it is made; `list.append` is one.
OnRecord = Callable[[EpochRecord | StepProgress | GradientRecord], None]
