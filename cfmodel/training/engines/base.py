"""What every engine does: the same updates of the same model, at its own speed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from cfmodel.gradients.measuring.monitor import Monitor
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.step_log import NO_STEPS, StepLog

#: Times an epoch that progress is reported.
REPORTS_PER_EPOCH = 20
#: Takes the share of an epoch's steps that are done.
OnProgress = Callable[[float], None]


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

    def take(self, other: "AdamState") -> None:
        """Set these tensors to another state's."""
        for own, given in ((self.first_moments, other.first_moments), (self.second_moments, other.second_moments)):
            for name, table in own.items():
                table.copy_(given[name])


class Engine(Protocol):
    """Trains a model in place.

    Its whole state between two steps is the model's tables, `adam` and how many steps of the epoch are
    done, since the order of an epoch is a function of seed and epoch alone: an engine given all three, by
    `resume` and `run_epoch`, goes on as if it had never stopped.

    Attributes:
        name: What `train.engine` calls it.
        model: What it trains; its tables may be read between two steps.
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
        after: StepLog = NO_STEPS,
    ) -> StepLog:
        """Update the model once per batch, each rating in exactly one batch, and return what the steps saw.

        Args:
            epoch: Number of this epoch, from 1.
            on_progress: Takes the share of this epoch's steps done; it is called between two steps.
            monitor: Watches; None: nobody does.
            after: What the first steps of the epoch saw, which are done already: all but one at most.
        """
        ...

    def log(self) -> StepLog:
        """Return what the epoch's steps saw so far; for `on_progress`."""
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


def unpack(model: CollaborativeFiltering) -> None:
    """Give a model whose tables were views of an engine's memory tables of its own again."""
    for table in model.parameters():
        table.data = table.data.clone(memory_format=torch.contiguous_format)
