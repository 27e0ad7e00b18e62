"""Measurements of one table at one sampled step, by tensor operations."""

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
    """One table of a phase, for the probes of all its sampled steps.

    Attributes:
        table: The weights, with gradients in `.grad` unless the engine passes them to the probe, shape (rows, K).
        side: Which column of the ratings selects its rows.
        deciles: Popularity part of each row, shape (rows,).
        penalty: Weight of the penalty for each rating of a row, shape (rows,).
        copy: Memory for a copy of the weights; None if a step moves only the rows of its batch.
    """

    table: Tensor
    side: str
    deciles: Tensor
    penalty: Tensor
    copy: Tensor | None

    @property
    def weights(self) -> Tensor:
        """The weights without gradients."""
        return self.table.detach()

    def probe(self) -> "TableProbe":
        """Return a probe for one step."""
        return TensorTableProbe(self)


@dataclass(frozen=True, eq=False)
class TableMeasurements:
    """The measurements of one table at one step, on the host.

    Attributes:
        gradient_counts: Gradients of the touched rows by bucket, shape (512,).
        zeros: Number of gradients that are exactly zero.
        infinities: Number of gradients that are infinite.
        row_norm_counts: Gradient norms of the touched rows by bucket, shape (512,).
        number: Number of rows touched.
        energy: Squared gradient norm by popularity part, shape (10,).
        weight_norm: Norm of the touched rows' weights before the update.
        data_norm: Norm of the gradient less the penalty's part.
        moved: Norm of the update of the touched rows.
        ghost: Norm of the update of the other rows.
        absolute: Sum of the absolute updates of the touched elements.
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
        """Return the record of the table, given its number of rows and columns and the step's learning rate."""
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


class TableProbe(Protocol):
    """Measures one table at one step: `measure_gradients`, then `measure_update`, then `read`."""

    def measure_gradients(self, touched: TouchedRows, gradient: Tensor, *, batch_size: int) -> None:
        """Measure the gradients of the touched rows before clipping, shape (R, K), and their weights."""

    def squares(self, index: Tensor) -> Tensor:
        """Return the squared norm of each rating's row, shape (B,)."""

    def measure_update(self) -> None:
        """Measure the update of the weights, and free memory of the size of the batch."""

    def read(self) -> TableMeasurements:
        """Return the measurements, on the host."""


class TensorTableProbe:
    """Measures by tensor operations on any device, without waiting for it before `read`.

    Its twin, compiled for the CPU, is `CompiledTableProbe`.
    """

    def __init__(self, table: SampledTable) -> None:
        self._table = table

    def measure_gradients(self, touched: TouchedRows, gradient: Tensor, *, batch_size: int) -> None:
        """Measure the gradients of the touched rows and their weights."""
        self._touched, weight = touched, touched.take(self._table.weights)
        norms, self._weight_norms = _row_norms(gradient), _row_norms(weight)
        deciles = self._table.deciles[touched.rows]
        self._gradient = bucket_counts(gradient, kept=touched.kept)
        self._row_norms = bucket_counts(norms, kept=touched.kept)
        self._energy = torch.zeros(DECILES, device=weight.device).index_add_(0, deciles, norms.square().float())
        # The penalty's part of a row's gradient is 2 * penalty / B per rating, times the weights.
        penalty = touched.counts * self._table.penalty[touched.rows] * (2 / batch_size)
        data = torch.addcmul(gradient, weight, penalty.unsqueeze(1).to(weight.dtype), value=-1)
        self._norms = torch.stack([torch.linalg.vector_norm(part) for part in (self._weight_norms, data)])
        self._weight = weight if self._table.copy is None else self._table.copy.copy_(self._table.weights)

    def squares(self, index: Tensor) -> Tensor:
        """Return the squared norm of each rating's row."""
        squares = self._weight_norms.new_zeros(len(self._table.weights))
        # Repeated rows are zero, so adding them changes nothing, where setting would.
        squares.index_add_(0, self._touched.rows, self._weight_norms.square())
        found: Tensor = squares[index]
        return found

    def measure_update(self) -> None:
        """Measure the update of the weights."""
        if self._table.copy is None:
            touched = self._touched.take(self._table.weights) - self._weight
            ghost = touched.new_zeros(())
        else:
            moved = torch.sub(self._table.weights, self._weight, out=self._weight)
            touched = self._touched.take(moved)
            # Without the touched rows, only the movement without a gradient is left.
            ghost = torch.linalg.vector_norm(moved.index_fill_(0, self._touched.rows, 0.0))
        self._moved = torch.stack([torch.linalg.vector_norm(touched), ghost, touched.abs().sum()])
        self._number = self._touched.number
        del self._touched, self._weight, self._weight_norms

    def read(self) -> TableMeasurements:
        """Return the measurements, on the host."""
        return TableMeasurements(
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
    """Return part / whole, but 0 for 0 / 0, infinity if the whole is not positive, and NaN if it is NaN."""
    if whole > 0:
        return part / whole
    if math.isnan(whole):
        return math.nan
    return math.inf if part else 0.0


def _row_norms(rows: Tensor) -> Tensor:
    """Return the L2 norm of each row, shape (R,); of a single number, its absolute value."""
    return rows.squeeze(1).abs() if rows.shape[1] == 1 else torch.linalg.vector_norm(rows, dim=1)
