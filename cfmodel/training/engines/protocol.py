"""The interface of all engines."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from cfmodel.gradients.measuring.monitor import Monitor
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.engines.step_log import NO_STEPS, StepLog

#: Times an epoch that progress is reported.
REPORTS_PER_EPOCH = 20
#: Receives the share of an epoch's steps that are done.
OnProgress = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class AdamState:
    """Adam's state between two steps.

    Attributes:
        step: Updates done.
        first_moments: Running mean of each table's gradient, by table, in the table's shape.
        second_moments: Running mean of the squared gradient, likewise.
    """

    step: int
    first_moments: dict[str, Tensor]
    second_moments: dict[str, Tensor]

    def copy_from(self, other: "AdamState") -> None:
        """Overwrite these tensors with another state's."""
        for own, given in ((self.first_moments, other.first_moments), (self.second_moments, other.second_moments)):
            for name, table in own.items():
                table.copy_(given[name])


class Engine(Protocol):
    """Trains a model in place.

    Its whole state between two steps is the model's tables, `adam` and the number of steps done in the epoch,
    since the order of an epoch depends on seed and epoch alone. An engine that gets all three, by `resume` and
    `run_epoch`, continues as if it had never stopped.

    Attributes:
        name: Its value of `train.engine`.
        model: The model; its tables may be read between two steps.
        learning_rate: Step size of the last update.
    """

    name: str
    model: CollaborativeFiltering
    learning_rate: float

    @staticmethod
    def cannot_train(model: type[CollaborativeFiltering], /) -> str | None:
        """Return why the engine cannot train a class of model; None where it can."""
        ...

    def run_epoch(
        self,
        epoch: int,
        *,
        on_progress: OnProgress,
        monitor: Monitor | None = None,
        earlier: StepLog = NO_STEPS,
    ) -> StepLog:
        """Update the model once per batch, each rating in exactly one batch, and return the log of the steps.

        Args:
            epoch: Number of this epoch, from 1.
            on_progress: Receives the share of this epoch's steps done, between two steps.
            monitor: Measures the steps; None: no monitor.
            earlier: Log of the epoch's first steps, if these are done already: at most all but one.
        """
        ...

    def log(self) -> StepLog:
        """Return the log of the epoch's steps so far; for `on_progress`."""
        ...

    def adam(self) -> AdamState:
        """Return Adam's state; the tensors are the engine's own and change with its next step."""
        ...

    def resume(self, state: AdamState) -> None:
        """Continue from a state that `adam` returned; the model's tables must be set already."""
        ...

    def close(self) -> None:
        """End the engine's threads; the model keeps its tables."""
        ...


def unshare_tables(model: CollaborativeFiltering) -> None:
    """Replace tables that are views of an engine's memory by copies."""
    for table in model.parameters():
        table.data = table.data.clone(memory_format=torch.contiguous_format)
