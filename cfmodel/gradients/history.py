"""One training's records, put in order for those who judge and draw it."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from cfmodel.gradients.records import (
    Counts,
    EpochGradients,
    Flags,
    Floats,
    InitialRecord,
    MonitorCost,
    StepBlock,
    StepSample,
)


@dataclass(frozen=True, eq=False)
class GradientHistory:
    """Everything the monitor said about one phase, oldest first.

    Attributes:
        initial: The model before its first update; None where the monitor did not say.
        blocks: Every step, a block an epoch.
        samples: The steps looked at closely.
        epochs: The tables at the ends of epochs.
        cost: What watching cost; None while training goes on.
    """

    initial: InitialRecord | None
    blocks: tuple[StepBlock, ...]
    samples: tuple[StepSample, ...]
    epochs: tuple[EpochGradients, ...]
    cost: MonitorCost | None

    @classmethod
    def of(cls, records: Iterable[object], *, phase: str = "fit") -> Self:
        """Sort the records of one phase; those of other phases and of other kinds pass unheeded."""
        own = [record for record in records if getattr(record, "phase", None) == phase]

        def every(kind: type) -> tuple[Any, ...]:
            return tuple(record for record in own if isinstance(record, kind))

        initial, cost = every(InitialRecord), every(MonitorCost)
        return cls(
            initial=initial[-1] if initial else None,
            blocks=every(StepBlock),
            samples=every(StepSample),
            epochs=every(EpochGradients),
            cost=cost[-1] if cost else None,
        )

    @property
    def num_steps(self) -> int:
        """Updates seen, S."""
        return len(self.steps)

    @cached_property
    def steps(self) -> Counts:
        """Number of each step, shape (S,)."""
        return _joined([block.first_step + np.arange(len(block.loss)) for block in self.blocks], np.int64)

    @cached_property
    def epoch_of_step(self) -> Counts:
        """Number of the epoch of each step, shape (S,)."""
        return _joined([np.full(len(block.loss), block.epoch) for block in self.blocks], np.int64)

    @cached_property
    def loss(self) -> Floats:
        """Loss of each batch before its update, penalty included, shape (S,)."""
        return _joined([block.loss for block in self.blocks])

    @cached_property
    def mean_squared_error(self) -> Floats:
        """Data term of the loss of each step, in rating units squared, shape (S,)."""
        return _joined([block.mean_squared_error for block in self.blocks])

    @cached_property
    def largest_error(self) -> Floats:
        """Largest absolute error of each step, in rating units, shape (S,)."""
        return _joined([block.largest_error for block in self.blocks])

    @cached_property
    def clip_coefficient(self) -> Floats:
        """What each step's gradients were multiplied by, shape (S,)."""
        return _joined([block.clip_coefficient for block in self.blocks])

    @cached_property
    def total_norm(self) -> Floats:
        """Gradient norm over all tables before clipping, shape (S,)."""
        return _joined([block.total_norm for block in self.blocks])

    @cached_property
    def finite(self) -> Flags:
        """Whether each step's loss, errors and norms are all finite, shape (S,)."""
        return _joined([block.finite for block in self.blocks], np.bool_)

    def largest_error_rows(self) -> tuple[Counts, Counts]:
        """Return the user and movie row of the rating with each step's largest error, shapes (S,)."""
        users = _joined([block.largest_error_user for block in self.blocks], np.int64)
        return users, _joined([block.largest_error_movie for block in self.blocks], np.int64)

    def grad_norm(self, table: str) -> Floats:
        """Return the gradient norm of a table before clipping at each step, shape (S,)."""
        return _joined([block.grad_norms[table] for block in self.blocks])

    def sampled(self, table: str, name: str) -> Floats:
        """Return one field of `TableSample` at each sampled step, shape (number of samples,)."""
        return np.array([getattr(sample.tables[table], name) for sample in self.samples], np.float64)

    def by_epoch(self, table: str, name: str) -> Floats:
        """Return one field of `TableHealth` at each epoch that has one, shape (number of those,)."""
        return np.array([getattr(epoch.tables[table], name) for epoch in self.epochs], np.float64)

    def epoch_medians(self, values: Floats) -> Floats:
        """Return the median of a value per step over each block, shape (number of blocks,)."""
        ends = np.cumsum([len(block.loss) for block in self.blocks])[:-1]
        return np.array([np.median(part) for part in np.split(values, ends)] if self.blocks else [], np.float64)

    def first_step_of(self, epoch: int) -> int:
        """Return the first step of an epoch; 1 where it is not known."""
        return next((block.first_step for block in self.blocks if block.epoch == epoch), 1)


def _joined(parts: list[Any], kind: Any = np.float64) -> Any:
    return np.concatenate(parts).astype(kind, copy=False) if parts else np.empty(0, kind)


@dataclass(frozen=True)
class Outcome:
    """How the model did on val, beside the floors it must beat there.

    Attributes:
        val_rmse: RMSE on val after each epoch, predictions clamped, in rating units.
        val_rows: Ratings in val.
        global_mean_rmse: RMSE on val of predicting the mean of the training ratings.
        damped_bias_rmse: RMSE on val of damped biases, clamped likewise.
    """

    val_rmse: tuple[float, ...]
    val_rows: int
    global_mean_rmse: float
    damped_bias_rmse: float

    @property
    def best(self) -> float:
        """The lowest RMSE on val."""
        return min(self.val_rmse)
