"""Compiled measurements of one table at one sampled step: one pass in place of many tensor operations."""

import math
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cfmodel.gradients.measuring.table_probe import SampledTable, TableMeasurements, TableProbe
from cfmodel.gradients.measuring.touched_rows import DECILES, TouchedRows
from cfmodel.gradients.recording.buckets import BUCKETS
from cfmodel.gradients.statistics.histogram import count_bits
from cfmodel.system.compiled import FAST, compiled

#: Between these bounds a sum of float32 squares has full precision: no square that matters underflowed, and none
#: overflowed.
_SMALL, _LARGE = np.float32(1e-24), np.float32(1e36)


class FlatRows(NamedTuple):
    """A matrix as a flat array with a stride, which the compiler can vectorise.

    Attributes:
        values: From the first value of the first row to the last of the last, float32, shape ((R - 1) * stride + K,).
        stride: Distance between the first values of consecutive rows.
        dim: K.
    """

    values: npt.NDArray[np.float32]
    stride: int
    dim: int

    @classmethod
    def of(cls, matrix: Tensor) -> "FlatRows":
        """Return a matrix on the CPU, shape (R, K), without a copy if each row is contiguous."""
        if not len(matrix) or (matrix.shape[1] > 1 and matrix.stride(1) != 1):
            matrix = matrix.contiguous()
        rows, dim = matrix.shape
        length = (rows - 1) * matrix.stride(0) + dim if rows else 0
        return cls(matrix.as_strided((length,), (1,)).numpy(), matrix.stride(0), dim)


class _Sums(NamedTuple):
    """The sums of one pass over R touched rows.

    Attributes:
        counts: Gradients, then their row norms, by bucket, int64, shape (2, 512).
        special: Exact zeros and infinities of either, int64, shape (2, 2).
        energy: Squared norm of the gradients in each popularity part, shape (10,).
        squares: Squared norms of the rows' weights, and of the gradients less the penalty's part, shape (2,).
        weight_norms: L2 norm of each row's weights, float32, shape (R,).
    """

    counts: npt.NDArray[np.int64]
    special: npt.NDArray[np.int64]
    energy: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]
    weight_norms: npt.NDArray[np.float32]


def is_float32_on_cpu(*tensors: Tensor) -> bool:
    """Return whether all tensors are on the CPU and float32, as the compiled functions need."""
    return all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in tensors)


class SampledTableCpu(SampledTable):
    """A float32 table on the CPU, for the probes of all sampled steps of a phase."""

    @cached_property
    def rows(self) -> FlatRows:
        """The weights."""
        return FlatRows.of(self.weights)

    @cached_property
    def flat_copy(self) -> FlatRows | None:
        """The memory for a copy of the weights."""
        return None if self.copy is None else FlatRows.of(self.copy)

    def probe(self) -> TableProbe:
        """Return a probe for one step."""
        return CompiledTableProbe(self)


class CompiledTableProbe:
    """Measures a float32 table on the CPU: the compiled twin of `TensorTableProbe`; see `TableProbe`."""

    def __init__(self, table: SampledTableCpu) -> None:
        self._table, self._size = table, len(table.table)

    def measure_gradients(self, touched: TouchedRows, gradient: Tensor, *, batch_size: int) -> None:
        """Measure the gradients of the touched rows and their weights."""
        self._rows, number = touched.rows.numpy(), len(touched.rows)
        self._sums = _Sums(
            np.zeros((2, BUCKETS), np.int64),
            np.zeros((2, 2), np.int64),
            np.zeros(DECILES),
            np.zeros(2),
            np.empty(number, np.float32),
        )
        if self._table.copy is not None:
            self._table.copy.copy_(self._table.weights)
        # If a step moves only the rows of its batch, a copy of these is enough.
        old = torch.empty(number if self._table.copy is None else 0, gradient.shape[1])
        _measure_rows(
            FlatRows.of(gradient),
            self._table.rows,
            self._rows,
            touched.counts.numpy(),
            self._table.penalty.numpy(),
            np.float32(2 / batch_size),
            self._table.deciles.numpy(),
            old.numpy(),
            self._sums,
        )
        self._copy = self._table.flat_copy or FlatRows.of(old)

    def squares(self, index: Tensor) -> Tensor:
        """Return the squared norm of each rating's row."""
        found = np.empty(len(index), np.float32)
        _squares(self._rows, self._sums.weight_norms, self._size, index.numpy(), found)
        return torch.from_numpy(found)

    def measure_update(self) -> None:
        """Measure the update of the weights."""
        self._moved = _moved(self._copy, self._table.rows, self._rows, self._table.copy is not None, self._size)
        self._number = len(self._rows)
        self._sums = self._sums._replace(weight_norms=np.empty(0, np.float32))
        del self._rows, self._copy

    def read(self) -> TableMeasurements:
        """Return the measurements."""
        sums, (moved, ghost, absolute) = self._sums, self._moved
        zeros, infinities = sums.special[0].tolist()
        weight_norm, data_norm = np.sqrt(sums.squares).tolist()
        return TableMeasurements(
            sums.counts[0],
            zeros,
            infinities,
            sums.counts[1],
            self._number,
            sums.energy,
            weight_norm,
            data_norm,
            math.sqrt(moved),
            math.sqrt(ghost),
            absolute,
        )


@cache
def compile_table_probe() -> None:
    """Compile everything, or load it from the cache, before a step is timed: measure a table of one row."""
    table, row = torch.zeros(1, 2), TouchedRows(torch.zeros(1, dtype=torch.int64), torch.ones(1), None, 1)
    probe = CompiledTableProbe(SampledTableCpu(table, "", torch.zeros(1, dtype=torch.int64), torch.zeros(1), None))
    probe.measure_gradients(row, table, batch_size=1)
    for kind in (torch.int32, torch.int64):
        probe.squares(row.rows.to(kind))
    probe.measure_update()


@compiled(forceinline=True)
def in_float32_range(square: Any) -> bool:
    """Return whether a float32 sum of squares has full precision."""
    return _SMALL < square < _LARGE  # type: ignore[no-any-return]


@compiled(fastmath=FAST)
def _measure_rows(
    gradient: Any, weights: Any, rows: Any, lookups: Any, penalty: Any, factor: Any, deciles: Any, old: Any, sums: Any
) -> None:
    """Sum up R rows and their gradients, and copy their weights to `old`, shape (R, K) or (0, K).

    A row's `penalty` times `factor`, its lookups and its weights is the penalty's part of its gradient.
    """
    dim, norms = gradient.dim, np.empty(len(rows), np.float32)
    for at in range(len(rows)):
        row, part = rows[at], penalty[rows[at]] * factor * lookups[at]
        slope = gradient.values[at * gradient.stride : at * gradient.stride + dim]
        weight = weights.values[row * weights.stride : row * weights.stride + dim]
        # A row is short enough for a sum in float32, which is vectorised ...
        square = weight_square = data_square = np.float32(0.0)
        for k in range(dim):
            data = slope[k] - part * weight[k]
            square += slope[k] * slope[k]
            weight_square += weight[k] * weight[k]
            data_square += data * data
        total, size, rest = np.float64(square), np.float64(weight_square), np.float64(data_square)
        # ... unless its squares leave the range of float32.
        if not (in_float32_range(square) and in_float32_range(weight_square) and in_float32_range(data_square)):
            total = size = rest = np.float64(0.0)
            for k in range(dim):
                total += np.float64(slope[k]) ** 2
                size += np.float64(weight[k]) ** 2
                rest += (np.float64(slope[k]) - np.float64(part) * np.float64(weight[k])) ** 2
        norms[at] = abs(slope[0]) if dim == 1 else np.sqrt(total)
        sums.weight_norms[at] = abs(weight[0]) if dim == 1 else np.sqrt(size)
        sums.energy[deciles[row]] += total
        sums.squares[0] += size
        sums.squares[1] += rest
    count_bits(gradient.values.view(np.uint32), gradient.stride, len(rows), dim, sums.counts[0], sums.special[0])
    count_bits(norms.view(np.uint32), 1, len(rows), 1, sums.counts[1], sums.special[1])
    for at in range(len(old)):
        weight = weights.values[rows[at] * weights.stride : rows[at] * weights.stride + dim]
        for k in range(dim):
            old[at, k] = weight[k]


@compiled(fastmath=FAST)
def _moved(copy: Any, weights: Any, rows: Any, whole: bool, num_rows: int) -> tuple[float, float, float]:
    """Return the squared norms of the update of touched rows and of others, and the touched rows' absolute sum."""
    touched = np.zeros(num_rows, np.bool_)
    for at in range(len(rows)):
        touched[rows[at]] = True
    moved, ghost, absolute = 0.0, 0.0, 0.0
    for at in range(num_rows if whole else len(rows)):
        row = at if whole else rows[at]
        old = copy.values[at * copy.stride : at * copy.stride + copy.dim]
        new = weights.values[row * weights.stride : row * weights.stride + copy.dim]
        square = sizes = np.float32(0.0)
        for k in range(copy.dim):
            step = new[k] - old[k]
            square += step * step
            sizes += abs(step)
        squares = np.float64(square)
        if sizes and not in_float32_range(square):
            squares = np.float64(0.0)
            for k in range(copy.dim):
                squares += (np.float64(new[k]) - np.float64(old[k])) ** 2
        if touched[row]:
            moved += squares
            absolute += np.float64(sizes)
        else:
            ghost += squares
    return moved, ghost, absolute


@compiled()
def _squares(rows: Any, norms: Any, num_rows: int, index: Any, found: Any) -> None:
    of_row = np.zeros(num_rows, np.float32)
    for at in range(len(rows)):
        of_row[rows[at]] = norms[at] * norms[at]
    for at in range(len(index)):
        found[at] = of_row[index[at]]
