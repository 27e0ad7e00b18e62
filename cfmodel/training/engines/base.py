"""What every engine does: the same updates of the same model, at its own speed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from cfmodel.gradients.monitor import Monitor
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.log import StepLog

#: Times an epoch that progress is reported.
REPORTS_PER_EPOCH = 20


@dataclass(frozen=True, eq=False)
class AdamState:
    """What Adam knows between two steps.

    Attributes:
        step: Updates done.
        first_moments: Running mean of each table's gradient, by table, shaped as the table.
        second_moments: Running mean of its square, likewise.
    """

    step: int
    first_moments: dict[str, Tensor]
    second_moments: dict[str, Tensor]


class Engine(Protocol):
    """Trains a model in place.

    Its whole state between two epochs is the model's tables and `adam`: an engine given both, by
    `resume`, goes on as if it had never stopped.

    Attributes:
        name: What `train.engine` calls it.
        model: What it trains; its tables may be read between two steps.
        learning_rate: Step size of the last update.
    """

    name: str
    model: CollaborativeFiltering
    learning_rate: float

    def run_epoch(self, epoch: int, *, on_progress: Callable[[float], None], monitor: Monitor | None = None) -> StepLog:
        """Update the model once per batch, each rating in exactly one batch, and return what the steps saw.

        Args:
            epoch: Number of this epoch, from 1.
            on_progress: Takes the share of this epoch's steps done.
            monitor: Watches; None: nobody does.
        """
        ...

    def adam(self) -> AdamState:
        """Return Adam's state; the tensors are the engine's own and change with its next step."""
        ...

    def resume(self, state: AdamState) -> None:
        """Go on from a state that `adam` returned; the model's tables are set already."""
        ...

    def close(self) -> None:
        """Let go of threads; the model keeps its tables."""
        ...
