"""A look at a table compiled: on the CPU one pass over its rows takes the place of a dozen tensor operations."""

import math
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cfmodel.gradients.measuring.table_look import Found, Look, SampledTable
from cfmodel.gradients.measuring.touched_rows import DECILES, TouchedRows
from cfmodel.gradients.recording.buckets import BUCKETS
from cfmodel.gradients.statistics.histogram import count_bits
from cfmodel.system.compiled import FAST, compiled

#: Between these a sum of float32 squares is right to its last digits: none that counts fell below the
#: smallest number, and none went beyond the largest.
_SMALL, _LARGE = np.float32(1e-24), np.float32(1e36)


class Rows(NamedTuple):
    """A matrix whose rows' values lie side by side: flat, as the compiler can take several of them at once.

    Attributes:
        values: From the first row's first value to the last row's last, float32, shape ((R - 1) * stride + K,).
        stride: Values from one row's first to the next row's.
        dim: K.
    """

    values: npt.NDArray[np.float32]
    stride: int
    dim: int

    @classmethod
    def of(cls, matrix: Tensor) -> "Rows":
        """Return a matrix of the CPU, shape (R, K), as it lies."""
        if not len(matrix) or (matrix.shape[1] > 1 and matrix.stride(1) != 1):
            matrix = matrix.contiguous()
        rows, dim = matrix.shape
        length = (rows - 1) * matrix.stride(0) + dim if rows else 0
        return cls(matrix.as_strided((length,), (1,)).numpy(), matrix.stride(0), dim)


class _Sums(NamedTuple):
    """What one pass over R touched rows finds.

    Attributes:
        counts: Gradients, then their row norms, by bucket, int64, shape (2, 512).
        special: Exact zeros and infinities among either, int64, shape (2, 2).
        energy: Squared norm of the gradients in each popularity part, shape (10,).
        squares: Squared norms of the rows' weights, and of the gradients less the penalty's part, shape (2,).
        weight_norms: L2 norm of each row's weights, float32, shape (R,).
    """

    counts: npt.NDArray[np.int64]
    special: npt.NDArray[np.int64]
    energy: npt.NDArray[np.float64]
    squares: npt.NDArray[np.float64]
    weight_norms: npt.NDArray[np.float32]


def is_on_host(*tensors: Tensor) -> bool:
    """Return whether all are float32 tensors of the CPU, which is what is compiled for."""
    return all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in tensors)


class SampledTableCpu(SampledTable):
    """A float32 table of the CPU as every sampled step of a phase has it."""

    @cached_property
    def rows(self) -> Rows:
        """The table as it lies."""
        return Rows.of(self.weights)

    @cached_property
    def copied(self) -> Rows | None:
        """The room for a copy as it lies."""
        return None if self.copy is None else Rows.of(self.copy)

    def look(self) -> Look:
        """Begin to look at it."""
        return CompiledLook(self)


class CompiledLook:
    """A look at a float32 table of the CPU; see `look.Look`."""

    def __init__(self, table: SampledTableCpu) -> None:
        self._table, self._size = table, len(table.table)

    def before(self, touched: TouchedRows, gradient: Tensor, *, batch_size: int) -> None:
        """Take in the rows touched and their gradients."""
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
        # Of a table of which only rows looked up move these alone are kept, in their order.
        kept = torch.empty(number if self._table.copy is None else 0, gradient.shape[1])
        _before(
            Rows.of(gradient),
            self._table.rows,
            self._rows,
            touched.counts.numpy(),
            np.float32(2 * self._table.regularization / batch_size),
            self._table.deciles.numpy(),
            kept.numpy(),
            self._sums,
        )
        self._copy = self._table.copied or Rows.of(kept)

    def squares(self, index: Tensor) -> Tensor:
        """Return the squared norm of the row that each rating looks up."""
        found = np.empty(len(index), np.float32)
        _squares(self._rows, self._sums.weight_norms, self._size, index.numpy(), found)
        return torch.from_numpy(found)

    def after(self) -> None:
        """Take in how far the weights moved."""
        self._moved = _moved(self._copy, self._table.rows, self._rows, self._table.copy is not None, self._size)
        self._number = len(self._rows)
        self._sums = self._sums._replace(weight_norms=np.empty(0, np.float32))
        del self._rows, self._copy

    def read(self) -> Found:
        """Return it all."""
        sums, (moved, ghost, absolute) = self._sums, self._moved
        zeros, infinities = sums.special[0].tolist()
        weight_norm, data_norm = np.sqrt(sums.squares).tolist()
        return Found(
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
def compile_looks() -> None:
    """Have everything compiled, or read back, before a clock runs: by looking at a table of one row."""
    table, row = torch.zeros(1, 2), TouchedRows(torch.zeros(1, dtype=torch.int64), torch.ones(1), None, 1)
    look = CompiledLook(SampledTableCpu(table, "", torch.zeros(1, dtype=torch.int64), 0.0, None))
    look.before(row, table, batch_size=1)
    for kind in (torch.int32, torch.int64):
        look.squares(row.rows.to(kind))
    look.after()


@compiled(forceinline=True)
def fits(square: Any) -> bool:
    """Return whether a sum of squares is one that float32 holds to its full precision."""
    return _SMALL < square < _LARGE  # type: ignore[no-any-return]


@compiled(fastmath=FAST)
def _before(
    gradient: Any,
    weights: Any,
    rows: Any,
    lookups: Any,
    pull: Any,
    deciles: Any,
    kept: Any,
    sums: Any,
) -> None:
    """Sum up R rows and their gradients, and copy their weights if there is room for them, shape (R, K).

    `pull` times a row's lookups and weights is the penalty's part of its gradient.
    """
    dim, norms = gradient.dim, np.empty(len(rows), np.float32)
    for at in range(len(rows)):
        row, part = rows[at], pull * lookups[at]
        slope = gradient.values[at * gradient.stride : at * gradient.stride + dim]
        weight = weights.values[row * weights.stride : row * weights.stride + dim]
        # A row is short enough to be added up in the precision of its values, several at a time ...
        square = weight_square = data_square = np.float32(0.0)
        for k in range(dim):
            data = slope[k] - part * weight[k]
            square += slope[k] * slope[k]
            weight_square += weight[k] * weight[k]
            data_square += data * data
        total, size, rest = np.float64(square), np.float64(weight_square), np.float64(data_square)
        # ... unless squares leave its range.
        if not (fits(square) and fits(weight_square) and fits(data_square)):
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
    for at in range(len(kept)):
        weight = weights.values[rows[at] * weights.stride : rows[at] * weights.stride + dim]
        for k in range(dim):
            kept[at, k] = weight[k]


@compiled(fastmath=FAST)
def _moved(copy: Any, weights: Any, rows: Any, whole: bool, num_rows: int) -> tuple[float, float, float]:
    """Return how far rows moved: the squared norm of those touched and of the others, and the sum of sizes touched."""
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
        if sizes and not fits(square):
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
