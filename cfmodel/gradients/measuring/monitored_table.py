"""What the monitor is handed of a model: its tables, and how predictions depend on their rows."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


@dataclass(frozen=True, eq=False)
class MonitoredTable:
    """One learned table.

    Attributes:
        weights: The numbers that are learned, with gradients in `.grad` where an engine has them nowhere else, shape
            (rows, K).
        side: Which of a batch's indices selects its rows.
        has_vectors: Whether its rows are vectors: these have an effective rank and a mean leak.
        penalty: Weight of the penalty on it; 0 where there is none.
    """

    weights: Tensor
    side: str
    has_vectors: bool
    penalty: float = 0.0


class Sensitivity(NamedTuple):
    """How a rating's prediction moves with all the rows it looks up.

        |d prediction / d rows|^2 = constant + sum of |row|^2 over `tables`

    Attributes:
        constant: Terms whose derivative is 1.
        tables: Tables whose rows are derivatives of others' rows.
    """

    constant: int
    tables: tuple[str, ...]
