"""The log of an epoch's steps, on the host."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from cfmodel.errors import DivergedError
from cfmodel.gradients.measuring.step_scalars import StepScalars

Floats = npt.NDArray[np.float64]

#: Fields of a `StepLog` that are arrays.
_ARRAYS = ("sizes", "loss", "mean_squared_error", "total_norm", "clip_coefficient", "grad_norms")


@dataclass(frozen=True)
class EpochSummary:
    """Means over one epoch; see `EpochRecord`."""

    train_loss: float
    train_rmse: float
    grad_norms: dict[str, float]
    total_grad_norm: float
    clipped_fraction: float


@dataclass(frozen=True, eq=False)
class StepLog:
    """The numbers of S steps; norms are L2 norms before clipping.

    Attributes:
        tables: Names of the model's T tables.
        sizes: Ratings of each step, int64, shape (S,).
        loss: The loss, penalty included, shape (S,).
        mean_squared_error: Of the scores before the update, as a share of the ratings' variance, shape (S,).
        total_norm: Joint norm of all gradients, shape (S,).
        clip_coefficient: Factor by which clipping scaled them, at most 1, shape (S,).
        grad_norms: Norm of each table's gradient, in the order of `tables`, shape (S, T).
        scalars: More numbers for the monitor; None: there is no monitor.
    """

    tables: tuple[str, ...]
    sizes: npt.NDArray[np.int64]
    loss: Floats
    mean_squared_error: Floats
    total_norm: Floats
    clip_coefficient: Floats
    grad_norms: Floats
    scalars: StepScalars | None = None

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all arrays by name, each with S as its first dimension."""
        own = {name: getattr(self, name) for name in _ARRAYS}
        return own if self.scalars is None else own | self.scalars.arrays()

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]], tables: tuple[str, ...]) -> Self:
        """Return the log whose `arrays` are given."""
        own = {name: arrays[name] for name in _ARRAYS}
        return cls(tables, **own, scalars=StepScalars.of(arrays) if len(arrays) > len(own) else None)

    def __len__(self) -> int:
        return len(self.sizes)

    def after(self, earlier: "StepLog") -> "StepLog":
        """Return the log of the earlier steps followed by these."""
        if not len(earlier):
            return self
        before = earlier.arrays()
        both = {name: np.concatenate([before[name], array]) for name, array in self.arrays().items()}
        return StepLog.of(both, self.tables)

    @property
    def is_finite(self) -> bool:
        """Whether every loss and every gradient norm is finite."""
        return bool(self._finite().all())

    def columns(self) -> dict[str, Any]:
        """Return the arguments of `Monitor.end_steps`, arrays of shape (S,)."""
        return {
            "loss": self.loss,
            "mean_squared_error": self.mean_squared_error,
            "total_norm": self.total_norm,
            "clip_coefficient": self.clip_coefficient,
            "grad_norms": dict(zip(self.tables, self.grad_norms.T, strict=True)),
            "scalars": self.scalars,
        }

    def summary(self, *, epoch: int, steps_before: int, rating_std: float) -> EpochSummary:
        """Return the means: of losses over ratings, of norms over steps; `rating_std` brings the RMSE to rating units.

        Raises:
            DivergedError: A loss or a gradient norm is not finite.
        """
        self._require_finite(epoch=epoch, steps_before=steps_before)
        return EpochSummary(
            train_loss=float(np.average(self.loss, weights=self.sizes)),
            train_rmse=rating_std * float(np.sqrt(np.average(self.mean_squared_error, weights=self.sizes))),
            grad_norms=dict(zip(self.tables, self.grad_norms.mean(axis=0).tolist(), strict=True)),
            total_grad_norm=float(self.total_norm.mean()),
            clipped_fraction=float((self.clip_coefficient < 1).mean()),
        )

    def _require_finite(self, *, epoch: int, steps_before: int) -> None:
        finite = self._finite()
        if finite.all():
            return
        first, last = steps_before + 1 + int(finite.argmin()), steps_before + len(finite)
        raise DivergedError(
            f"epoch {epoch}: loss or gradient is not finite from step {first:,} of {last:,} on; "
            f"lower train.learning_rate, and check the ratings for values far outside their scale",
            step=first,
        )

    def _finite(self) -> npt.NDArray[np.bool_]:
        return np.isfinite(self.loss) & np.isfinite(self.total_norm)


#: The log of no steps.
NO_STEPS = StepLog((), np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0), np.empty(0), np.empty((0, 0)))
