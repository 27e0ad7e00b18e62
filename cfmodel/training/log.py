"""What the steps of an epoch saw, on the host."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cfmodel.errors import DivergedError
from cfmodel.training.records import TABLES

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EpochSummary:
    """Means over one epoch; see `EpochRecord` for what each one is."""

    train_loss: float
    train_rmse: float
    grad_norms: dict[str, float]
    total_grad_norm: float
    clipped_fraction: float


@dataclass(frozen=True, eq=False)
class StepLog:
    """What S steps saw; norms are L2 norms before clipping.

    Attributes:
        sizes: Ratings of each step, int64, shape (S,).
        loss: What was differentiated, penalty included, shape (S,).
        mean_squared_error: Of the predictions before the update, in rating units squared, shape (S,).
        total_norm: Norm of all gradients together, shape (S,).
        clip_coefficient: What they were multiplied by, at most 1, shape (S,).
        grad_norms: Norm of each table's gradient, in the order of `TABLES`, shape (S, T).
    """

    sizes: npt.NDArray[np.int64]
    loss: Floats
    mean_squared_error: Floats
    total_norm: Floats
    clip_coefficient: Floats
    grad_norms: Floats

    def columns(self) -> dict[str, Any]:
        """Return it by name, as the monitor takes it; arrays of shape (S,)."""
        return {
            "loss": self.loss,
            "mean_squared_error": self.mean_squared_error,
            "total_norm": self.total_norm,
            "clip_coefficient": self.clip_coefficient,
            "grad_norms": dict(zip(TABLES, self.grad_norms.T, strict=True)),
        }

    def summary(self, *, epoch: int, steps_before: int) -> EpochSummary:
        """Average what the steps saw: losses over ratings, norms over steps.

        Raises:
            DivergedError: A loss or a gradient was not finite.
        """
        self._require_finite(epoch=epoch, steps_before=steps_before)
        return EpochSummary(
            train_loss=float(np.average(self.loss, weights=self.sizes)),
            train_rmse=float(np.sqrt(np.average(self.mean_squared_error, weights=self.sizes))),
            grad_norms=dict(zip(TABLES, self.grad_norms.mean(axis=0).tolist(), strict=True)),
            total_grad_norm=float(self.total_norm.mean()),
            clipped_fraction=float((self.clip_coefficient < 1).mean()),
        )

    def _require_finite(self, *, epoch: int, steps_before: int) -> None:
        finite = np.isfinite(self.loss) & np.isfinite(self.total_norm)
        if finite.all():
            return
        first, last = steps_before + 1 + int(finite.argmin()), steps_before + len(finite)
        raise DivergedError(
            f"epoch {epoch}: loss or gradient is not finite from step {first:,} of {last:,} on; "
            f"lower train.learning_rate, and check the ratings for values far outside their scale",
            step=first,
        )
