"""One training's records, put in order for those who judge and draw it."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from cfmodel.gradients.recording.gradient_records import (
    Counts,
    EpochGradients,
    Flags,
    Floats,
    InitialRecord,
    MonitorCost,
    Outcome,
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
        outcome: How the model did on val; None while training goes on, and without val.
        cost: What watching cost; None while training goes on.
    """

    initial: InitialRecord | None
    blocks: tuple[StepBlock, ...]
    samples: tuple[StepSample, ...]
    epochs: tuple[EpochGradients, ...]
    outcome: Outcome | None
    cost: MonitorCost | None

    @classmethod
    def of(cls, records: Iterable[object], *, phase: str = "fit") -> Self:
        """Sort the records of one phase; those of other phases and of other kinds pass unheeded."""
        own = [record for record in records if getattr(record, "phase", None) == phase]

        def every(kind: type) -> tuple[Any, ...]:
            return tuple(record for record in own if isinstance(record, kind))

        initial, outcome, cost = every(InitialRecord), every(Outcome), every(MonitorCost)
        return cls(
            initial=initial[-1] if initial else None,
            blocks=every(StepBlock),
            samples=every(StepSample),
            epochs=every(EpochGradients),
            outcome=outcome[-1] if outcome else None,
            cost=cost[-1] if cost else None,
        )

    @property
    def num_steps(self) -> int:
        """Updates seen, S."""
        return len(self.steps)

    @cached_property
    def steps(self) -> Counts:
        """Number of each step, shape (S,)."""
        return _counts([block.first_step + np.arange(len(block.loss)) for block in self.blocks])

    @cached_property
    def epoch_of_step(self) -> Counts:
        """Number of the epoch of each step, shape (S,)."""
        return _counts([np.full(len(block.loss), block.epoch) for block in self.blocks])

    @cached_property
    def loss(self) -> Floats:
        """Loss of each batch before its update, penalty included, shape (S,)."""
        return _floats([block.loss for block in self.blocks])

    @cached_property
    def mean_squared_error(self) -> Floats:
        """Data term of the loss of each step, in rating units squared, shape (S,)."""
        return _floats([block.mean_squared_error for block in self.blocks])

    @cached_property
    def largest_error(self) -> Floats:
        """Largest absolute error of each step, in rating units, shape (S,)."""
        return _floats([block.largest_error for block in self.blocks])

    @cached_property
    def clip_coefficient(self) -> Floats:
        """What each step's gradients were multiplied by, shape (S,)."""
        return _floats([block.clip_coefficient for block in self.blocks])

    @cached_property
    def total_norm(self) -> Floats:
        """Gradient norm over all tables before clipping, shape (S,)."""
        return _floats([block.total_norm for block in self.blocks])

    @cached_property
    def finite(self) -> Flags:
        """Whether each step's loss, errors and norms are all finite, shape (S,)."""
        return np.array([finite for block in self.blocks for finite in block.finite], np.bool_)

    @cached_property
    def reach(self) -> float | None:
        """Sum of the learning rate over all steps, in spreads of the ratings; None where it is not known.

        Adam moves a weight by at most about the learning rate a step: this is how far a bias can go.
        """
        if self.initial is None or not self.initial.rating_std > 0 or not self.samples or not self.num_steps:
            return None
        sampled = [sample.step for sample in self.samples]
        rates = np.interp(self.steps, sampled, [sample.learning_rate for sample in self.samples])
        return float(rates.sum()) / self.initial.rating_std

    def largest_error_rows(self) -> tuple[Counts, Counts]:
        """Return the user and movie row of the rating with each step's largest error, shapes (S,)."""
        users = _counts([block.largest_error_user for block in self.blocks])
        return users, _counts([block.largest_error_movie for block in self.blocks])

    def grad_norm(self, table: str) -> Floats:
        """Return the gradient norm of a table before clipping at each step, shape (S,)."""
        return _floats([block.grad_norms[table] for block in self.blocks])

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


def _floats(parts: list[Floats]) -> Floats:
    return np.concatenate(parts) if parts else np.empty(0, np.float64)


def _counts(parts: list[Counts]) -> Counts:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
