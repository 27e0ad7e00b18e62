"""RMSE and MAE of predictions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Accuracy:
    """Errors of a set of predictions.

    Attributes:
        rows: Number of predictions, N.
        rmse: sqrt(mean((prediction - rating)^2)), in rating units; None if N is 0.
        mae: mean(|prediction - rating|), in rating units; None if N is 0.
    """

    rows: int
    rmse: float | None
    mae: float | None

    @classmethod
    def of(cls, predictions: Floats, ratings: Floats) -> "Accuracy":
        """Return the errors of predictions, both arrays of shape (N,); they are summed in float64."""
        if not len(ratings):
            return cls(0, None, None)
        error = predictions.astype(np.float64) - ratings
        return cls(len(ratings), float(np.sqrt(np.mean(np.square(error)))), float(np.mean(np.abs(error))))

    def errors(self) -> dict[str, float]:
        """Return RMSE and MAE by name; nothing if there are no rows."""
        named = {"rmse": self.rmse, "mae": self.mae}
        return {name: value for name, value in named.items() if value is not None}

    def metrics(self, slice: str = "") -> dict[str, float]:
        """Return `test/rows_SLICE`, `test/rmse_SLICE` and `test/mae_SLICE`; only the first if there are no rows."""
        suffix = f"_{slice}" if slice else ""
        measures = {"rows": float(self.rows), **self.errors()}
        return {f"test/{measure}{suffix}": value for measure, value in measures.items()}
