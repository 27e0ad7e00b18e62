"""One pass over the training ratings, and what its steps saw."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cfmodel.config import TrainSettings
from cfmodel.errors import DivergedError
from cfmodel.gradients.monitor import Monitor
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batches import DeviceRatings, epoch_order
from cfmodel.training.records import TABLES
from cfmodel.training.schedule import learning_rate_at
from cfmodel.training.step import GradNorms, Loss, update

#: Times an epoch that progress is reported.
REPORTS_PER_EPOCH = 20


@dataclass(frozen=True)
class EpochSummary:
    """Means over one epoch, on the host; see `EpochRecord` for what each one is."""

    train_loss: float
    train_rmse: float
    grad_norms: dict[str, float]
    total_grad_norm: float
    clipped_fraction: float


class StepLog:
    """What the steps of an epoch saw, kept on the device until the epoch is over.

    In one tensor for the whole epoch: small ones that outlive their step would lie between the large
    ones that each step allocates and frees, and keep that memory from being used again.

    Args:
        steps: Steps in the epoch, S.
        device: Where they are done.
    """

    def __init__(self, steps: int, device: torch.device) -> None:
        self.sizes: list[int] = []
        self._rows = torch.empty(steps, 4 + len(TABLES), device=device)
        self._read: np.ndarray | None = None

    def add(self, size: int, loss: Loss, norms: GradNorms) -> None:
        """Keep one step's numbers; nothing is read back yet."""
        scalars = (loss.total.detach(), loss.mean_squared_error.detach(), norms.total, norms.coefficient)
        torch.cat([*(scalar.view(1) for scalar in scalars), norms.tables], out=self._rows[len(self.sizes)])
        self.sizes.append(size)

    def read(self) -> np.ndarray:
        """Read everything back at once, float64: loss, squared error, total norm, coefficient, tables' norms."""
        if self._read is None:
            self._read = self._rows.cpu().numpy().astype(np.float64)
        return self._read

    def columns(self) -> dict[str, Any]:
        """Return what each of S steps saw, as the monitor takes it; arrays of shape (S,)."""
        loss, squared_error, total, coefficient, *tables = self.read().T
        return {
            "loss": loss,
            "mean_squared_error": squared_error,
            "total_norm": total,
            "clip_coefficient": coefficient,
            "grad_norms": dict(zip(TABLES, tables, strict=True)),
        }

    def summary(self, *, epoch: int, steps_before: int) -> EpochSummary:
        """Average what the steps saw: losses over ratings, norms over steps.

        Raises:
            DivergedError: A loss or a gradient was not finite.
        """
        read = self.read()
        _require_finite(read, epoch=epoch, steps_before=steps_before)
        loss, squared_error, *_ = np.average(read, axis=0, weights=self.sizes)
        _, _, total, _, *tables = read.mean(axis=0)
        return EpochSummary(
            train_loss=float(loss),
            train_rmse=float(np.sqrt(squared_error)),
            grad_norms=dict(zip(TABLES, map(float, tables), strict=True)),
            total_grad_norm=float(total),
            clipped_fraction=float((read[:, 3] < 1).mean()),
        )


def _require_finite(read: np.ndarray, *, epoch: int, steps_before: int) -> None:
    finite = np.isfinite(read).all(axis=1)
    if finite.all():
        return
    first, last = steps_before + 1 + int(finite.argmin()), steps_before + len(read)
    raise DivergedError(
        f"epoch {epoch}: loss or gradient is not finite from step {first:,} of {last:,} on; "
        f"lower train.learning_rate, and check the ratings for values far outside their scale"
    )


def run_epoch(
    model: CollaborativeFiltering,
    optimizer: torch.optim.Optimizer,
    ratings: DeviceRatings,
    *,
    settings: TrainSettings,
    batch_size: int,
    regularization: float,
    epoch: int,
    on_progress: Callable[[float], None],
    monitor: Monitor | None = None,
) -> StepLog:
    """Update the model once per batch, each rating in exactly one batch, and return what the steps saw.

    Args:
        model: Changed in place.
        optimizer: Holds the model's parameters; its learning rate follows the schedule.
        ratings: N training ratings on the model's device.
        settings: Clipping, schedule and the seed of the order.
        batch_size: Ratings in a step.
        regularization: Weight of the penalty.
        epoch: Number of this epoch, from 1.
        on_progress: Takes the share of this epoch's steps done.
        monitor: Watches; None: nobody does.
    """
    order = epoch_order(len(ratings), seed=settings.seed, epoch=epoch).to(ratings.rating.device)
    steps, ordered = -(-len(ratings) // batch_size), ratings[order]
    log = StepLog(steps, ratings.rating.device)
    if monitor is not None:
        monitor.begin_epoch(epoch, ordered.user_idx, ordered.movie_idx)
    for step, batch in enumerate(ordered.batches(batch_size)):
        learning_rate = learning_rate_at((epoch - 1 + step / steps) / settings.epochs, settings)
        _set_learning_rate(optimizer, learning_rate)
        loss, norms = update(
            model,
            optimizer,
            batch,
            regularization=regularization,
            max_grad_norm=settings.max_grad_norm,
            probe=monitor.probe(learning_rate) if monitor is not None else None,
        )
        log.add(len(batch), loss, norms)
        if monitor is not None:
            monitor.add(loss.error.detach())
        if (step + 1) * REPORTS_PER_EPOCH // steps > step * REPORTS_PER_EPOCH // steps:
            on_progress((step + 1) / steps)
    if monitor is not None:
        monitor.end_steps(**log.columns())
    return log


def _set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
