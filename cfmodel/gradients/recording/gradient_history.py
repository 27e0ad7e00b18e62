"""The records of one training phase, sorted by kind, with its values by step."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
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

#: Names of the fields of a block that hold the row of the largest error, up to the side.
_ROW_OF_LARGEST_ERROR = "largest_error_"
#: Standard deviation up to which ratings are equal.
_EQUAL = 1e-4


def _every_step(name: str) -> "cached_property[Floats]":
    """Return a property with a field of `StepBlock` at every step, shape (S,)."""
    return cached_property(lambda history: _floats([getattr(block, name) for block in history.blocks]))


@dataclass(frozen=True, eq=False)
class GradientHistory:
    """All of the monitor's records of one phase, oldest first.

    Attributes:
        initial: The model before its first update; None if that was not recorded.
        blocks: Every step, one block per epoch.
        epochs: The tables at the ends of epochs.
        outcome: The model's error on val; None during training, and without val.
        cost: The cost of monitoring; None during training.
    """

    initial: InitialRecord | None
    blocks: tuple[StepBlock, ...]
    samples: tuple[StepSample, ...]
    epochs: tuple[EpochGradients, ...]
    outcome: Outcome | None
    cost: MonitorCost | None

    @classmethod
    def of(cls, records: Iterable[object], *, phase: str = "fit") -> Self:
        """Sort the records of one phase by kind; ignore other phases and other kinds."""
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
        """Number of recorded updates, S."""
        return len(self.steps)

    @property
    def has_equal_ratings(self) -> bool:
        """Whether all training ratings are equal; standardized ones have a deviation of 1, or what rounding leaves."""
        return self.initial is not None and self.initial.rating_std < _EQUAL

    @cached_property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables, in the order of the records."""
        if self.initial:
            return tuple(self.initial.rows)
        if self.blocks:
            return tuple(self.blocks[0].grad_norms)
        looks: tuple[StepSample | EpochGradients, ...] = (*self.samples, *self.epochs)
        return tuple(looks[0].tables) if looks else ()

    @cached_property
    def vector_tables(self) -> tuple[str, ...]:
        """Names of the tables whose rows are vectors: those with an effective rank.

        Before the first look at the tables, those with more gradients than rows at a sampled step.
        """
        if self.epochs:
            return tuple(name for name, table in self.epochs[0].tables.items() if table.effective_rank is not None)
        seen = self.samples[0].tables if self.samples else {}
        return tuple(name for name, table in seen.items() if table.gradient_counts.sum() > table.rows_touched)

    def side_of(self, table: str) -> str:
        """Return what a row of a table stands for, such as `user`; see `InitialRecord.sides`."""
        sides = self.initial.sides if self.initial else {}
        return sides.get(table) or table.partition("_")[0]

    def rows_of(self, table: str, rows: Iterable[int]) -> tuple[tuple[str, int], ...]:
        """Return rows of a table as pairs of side and row."""
        return tuple((self.side_of(table), row) for row in rows)

    def rating_of_largest_error(self, step: int) -> tuple[tuple[str, int], ...]:
        """Return the rating with the largest error of the step at a position, as pairs of side and row."""
        return tuple((side, int(rows[step])) for side, rows in self.largest_error_rows().items())

    @cached_property
    def steps(self) -> Counts:
        """Number of each step, shape (S,)."""
        return _counts([block.first_step + np.arange(len(block.loss)) for block in self.blocks])

    @cached_property
    def epoch_of_step(self) -> Counts:
        """Number of the epoch of each step, shape (S,)."""
        return _counts([np.full(len(block.loss), block.epoch) for block in self.blocks])

    loss = _every_step("loss")
    mean_squared_error = _every_step("mean_squared_error")
    largest_error = _every_step("largest_error")
    clip_coefficient = _every_step("clip_coefficient")
    total_norm = _every_step("total_norm")

    @cached_property
    def finite(self) -> Flags:
        """Whether each step's loss, errors and norms are all finite, shape (S,)."""
        return np.array([finite for block in self.blocks for finite in block.finite], np.bool_)

    @cached_property
    def reach(self) -> float | None:
        """Sum of the learning rate over all steps over the standard deviation of the ratings; None if unknown.

        Adam moves a weight by at most about the learning rate per step, so this is how far a weight can move.
        """
        if self.initial is None or not self.initial.rating_std > 0 or not self.samples or not self.num_steps:
            return None
        sampled = [sample.step for sample in self.samples]
        rates = np.interp(self.steps, sampled, [sample.learning_rate for sample in self.samples])
        return float(rates.sum()) / self.initial.rating_std

    def largest_error_rows(self) -> dict[str, Counts]:
        """Return the rows of the rating with each step's largest error, by side, shape (S,)."""
        names = [field.name for field in fields(StepBlock) if field.name.startswith(_ROW_OF_LARGEST_ERROR)]
        return {
            name.removeprefix(_ROW_OF_LARGEST_ERROR): _counts([getattr(block, name) for block in self.blocks])
            for name in names
        }

    def grad_norm(self, table: str) -> Floats:
        """Return the gradient norm of a table before clipping at each step, shape (S,)."""
        return _floats([block.grad_norms[table] for block in self.blocks])

    def sampled(self, table: str, name: str) -> Floats:
        """Return one field of `TableSample` at each sampled step, shape (number of samples,)."""
        return np.array([getattr(sample.tables[table], name) for sample in self.samples], np.float64)

    def by_epoch(self, table: str, name: str) -> Floats:
        """Return one field of `TableHealth` at each epoch that has one, shape (number of such epochs,)."""
        return np.array([getattr(epoch.tables[table], name) for epoch in self.epochs], np.float64)

    def epoch_medians(self, values: Floats) -> Floats:
        """Return the median over each block of a value per step, shape (number of blocks,)."""
        ends = np.cumsum([len(block.loss) for block in self.blocks])[:-1]
        return np.array([np.median(part) for part in np.split(values, ends)] if self.blocks else [], np.float64)

    def first_step_of(self, epoch: int) -> int:
        """Return the first step of an epoch; 1 if it is unknown."""
        return next((block.first_step for block in self.blocks if block.epoch == epoch), 1)


def _floats(parts: list[Floats]) -> Floats:
    return np.concatenate(parts) if parts else np.empty(0, np.float64)


def _counts(parts: list[Counts]) -> Counts:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)
