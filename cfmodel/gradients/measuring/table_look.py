"""One table at one sampled step: before the gradients are clipped, and after the weights have moved."""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from cfmodel.gradients.measuring.touched_rows import DECILES, TouchedRows
from cfmodel.gradients.recording.buckets import NOT_FINITE, TINY
from cfmodel.gradients.recording.gradient_records import Counts, Floats, TableSample
from cfmodel.gradients.statistics.histogram import bucket_counts


@dataclass(frozen=True, eq=False)
class SampledTable:
    """One table as every sampled step of a phase has it.

    Attributes:
        table: What is learned, with gradients in `.grad` where an engine has them nowhere else, shape (rows, K).
        side: Which of a batch's indices selects its rows.
        deciles: Popularity part of each row, shape (rows,).
        regularization: Weight of the penalty on it.
        copy: Room for a copy of the weights; None where only rows looked up move.
    """

    table: Tensor
    side: str
    deciles: Tensor
    regularization: float
    copy: Tensor | None

    @property
    def weights(self) -> Tensor:
        """The numbers alone."""
        return self.table.detach()

    def look(self) -> "Look":
        """Begin to look at it."""
        return TensorLook(self)


@dataclass(frozen=True, eq=False)
class Found:
    """What a look at a table came to, on the host.

    Attributes:
        gradient_counts: Gradients of the touched rows by bucket, shape (512,).
        zeros: How many of them are exactly zero.
        infinities: How many of them are infinite.
        row_norm_counts: Norms of those rows by bucket, shape (512,).
        number: Rows touched.
        energy: Squared gradient norm by popularity part, shape (10,).
        weight_norm: Norm of the touched rows' weights before the update.
        data_norm: Norm of the gradient less the penalty's part.
        moved: Norm of the touched rows' movement.
        ghost: Norm of the other rows' movement.
        absolute: Sum of the touched elements' movements, signs left out.
    """

    gradient_counts: Counts
    zeros: int
    infinities: int
    row_norm_counts: Counts
    number: int
    energy: Floats
    weight_norm: float
    data_norm: float
    moved: float
    ghost: float
    absolute: float

    def sample(self, *, rows: int, dim: int, learning_rate: float) -> TableSample:
        """Return the record of a table with so many rows and columns, moved at a learning rate."""
        counts, total, moved = self.gradient_counts, self.energy.sum(), self.moved**2 + self.ghost**2
        return TableSample(
            gradient_counts=counts,
            row_norm_counts=self.row_norm_counts,
            rows_touched=self.number,
            zeros=self.zeros,
            denormals=int(counts[TINY[0]] + counts[TINY[1]]) - self.zeros,
            infinities=self.infinities,
            nans=int(counts[NOT_FINITE[0]] + counts[NOT_FINITE[1]]) - self.infinities,
            structural_zero_fraction=1 - self.number / rows,
            update_to_weight=ratio(self.moved, self.weight_norm),
            adam_step=self.absolute / (self.number * dim) / learning_rate if learning_rate else math.nan,
            ghost_share=self.ghost**2 / moved if moved else 0.0,
            update_norm=math.sqrt(moved),
            energy_by_decile=self.energy / total if total else self.energy,
        )


class Look(Protocol):
    """Looks at one table of one step: `before`, then `after`, then `read`."""

    def before(self, touched: TouchedRows, gradient: Tensor, *, batch_size: int) -> None:
        """Take in the rows touched and their gradients, not clipped, shape (R, K)."""

    def squares(self, index: Tensor) -> Tensor:
        """Return the squared norm of the row that each rating looks up, shape (B,)."""

    def after(self) -> None:
        """Take in how far the weights moved, and let go of what is as large as the batch."""

    def read(self) -> Found:
        """Bring it all to the host."""


class TensorLook:
    """A look by tensor operations, on any device, which is never waited for before `read`."""

    def __init__(self, table: SampledTable) -> None:
        self._table = table

    def before(self, touched: TouchedRows, gradient: Tensor, *, batch_size: int) -> None:
        """Take in the rows touched and their gradients."""
        self._touched, weight = touched, touched.take(self._table.weights)
        norms, self._weight_norms = _row_norms(gradient), _row_norms(weight)
        deciles = self._table.deciles[touched.rows]
        self._gradient = bucket_counts(gradient, kept=touched.kept)
        self._row_norms = bucket_counts(norms, kept=touched.kept)
        self._energy = torch.zeros(DECILES, device=weight.device).index_add_(0, deciles, norms.square().float())
        # The penalty's part of a row's gradient is 2 * strength / B a lookup.
        pull = touched.counts * (2 * self._table.regularization / batch_size)
        data = torch.addcmul(gradient, weight, pull.unsqueeze(1).to(weight.dtype), value=-1)
        self._norms = torch.stack([torch.linalg.vector_norm(part) for part in (self._weight_norms, data)])
        self._weight = weight if self._table.copy is None else self._table.copy.copy_(self._table.weights)

    def squares(self, index: Tensor) -> Tensor:
        """Return the squared norm of the row that each rating looks up."""
        squares = self._weight_norms.new_zeros(len(self._table.weights))
        # Repeats are zero: adding, unlike setting, leaves the one that counts.
        squares.index_add_(0, self._touched.rows, self._weight_norms.square())
        found: Tensor = squares[index]
        return found

    def after(self) -> None:
        """Take in how far the weights moved."""
        if self._table.copy is None:
            touched = self._touched.take(self._table.weights) - self._weight
            ghost = touched.new_zeros(())
        else:
            moved = torch.sub(self._table.weights, self._weight, out=self._weight)
            touched = self._touched.take(moved)
            # What is left once the touched rows are gone is exactly the movement without a gradient.
            ghost = torch.linalg.vector_norm(moved.index_fill_(0, self._touched.rows, 0.0))
        self._moved = torch.stack([torch.linalg.vector_norm(touched), ghost, touched.abs().sum()])
        self._number = self._touched.number
        del self._touched, self._weight, self._weight_norms

    def read(self) -> Found:
        """Bring it all to the host."""
        return Found(
            self._gradient.counts.cpu().numpy(),
            int(self._gradient.zeros),
            int(self._gradient.infinities),
            self._row_norms.counts.cpu().numpy(),
            int(self._number),
            self._energy.double().cpu().numpy(),
            *self._norms.tolist(),
            *self._moved.tolist(),
        )


def ratio(part: float, whole: float) -> float:
    """Divide, where nothing over nothing is 0 and a whole that is not positive is drowned."""
    if whole > 0:
        return part / whole
    if math.isnan(whole):
        return math.nan
    return math.inf if part else 0.0


def _row_norms(rows: Tensor) -> Tensor:
    """Return the L2 norm of each row, shape (R,); that of a single number is its size."""
    return rows.squeeze(1).abs() if rows.shape[1] == 1 else torch.linalg.vector_norm(rows, dim=1)
