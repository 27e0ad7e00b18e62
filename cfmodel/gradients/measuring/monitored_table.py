"""The monitor's view of a model: its tables, and how predictions depend on their rows."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


@dataclass(frozen=True, eq=False)
class MonitoredTable:
    """One learned table.

    Attributes:
        weights: The weights, with gradients in `.grad` unless the engine passes them to the probe, shape (rows, K).
        side: Which column of the ratings selects its rows.
        has_vectors: Whether its rows are vectors; only these have an effective rank and a mean leak.
        penalty: Weight of the penalty for each rating of a row, shape (rows,).
    """

    weights: Tensor
    side: str
    has_vectors: bool
    penalty: Tensor


class Sensitivity(NamedTuple):
    """The derivative of a prediction by all the rows it looks up.

        |d prediction / d rows|^2 = constant + sum of |row|^2 over `tables`

    Attributes:
        constant: Number of terms whose derivative is 1.
        tables: Tables whose rows are the derivative by another table's row.
    """

    constant: int
    tables: tuple[str, ...]
