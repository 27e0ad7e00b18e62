"""One pass over a table at the end of an epoch: row norms, mean row, dead rows, cold rows and effective rank.

On the CPU the pass is compiled: it reads the table once, where tensor operations would read it a dozen times.
"""

import math
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cfmodel.gradients.measuring.table_probe_cpu import FlatRows, in_float32_range, is_float32_on_cpu
from cfmodel.gradients.recording.gradient_records import QUANTILES, Floats
from cfmodel.gradients.statistics.quantiles import fill_quantiles, places_among, quantiles
from cfmodel.gradients.statistics.rank import RANK_COLUMNS, add_products, effective_rank, rank_from, spacing
from cfmodel.system.compiled import FAST, compiled

#: Touches after which a row that never had a gradient counts as dead.
_TOUCHES = 5
#: Most row numbers given as examples.
EXAMPLES = 5

Norms = npt.NDArray[np.floating]


class PassResult(NamedTuple):
    """The result of a pass over a table of R rows.

    Attributes:
        norms: L2 norm of each row, in the table's precision, shape (R,).
        quantiles: Quantiles of the norms at `QUANTILES`, shape (5,).
        mean_leak: |mean row|^2 over mean |row|^2; NaN if all rows are zero.
        dead_rows: Number of rows touched at least five times whose second moments are all exactly zero.
        dead_row_examples: Up to `EXAMPLES` of them, lowest first.
        cold_moved: Norm of the movement of the cold rows.
        cold_norm: Norm of the cold rows.
        effective_rank: Number of directions that the table uses; None: not computed.
    """

    norms: Norms
    quantiles: Floats
    mean_leak: float
    dead_rows: int
    dead_row_examples: tuple[int, ...]
    cold_moved: float
    cold_norm: float
    effective_rank: float | None


class TablePass(Protocol):
    """Measures one table, as often as wanted."""

    def norms(self) -> Norms:
        """Return the L2 norm of each row, bit for bit those of `measure`."""

    def measure(self, second_moment: Tensor | None, *, epochs: int) -> PassResult:
        """Measure the table.

        Args:
            second_moment: Adam's running mean of squared gradients, shape (R, K), exactly zero where every
                gradient was zero. None: do not look for dead rows.
            epochs: Epochs done so far.
        """


def table_pass_for(table: Tensor, counts: Tensor, cold: Tensor, cold_start: Tensor, *, with_rank: bool) -> TablePass:
    """Return the pass for a table: compiled if it is float32 on the CPU, else by tensor operations.

    Args:
        table: Weights, shape (R, K).
        counts: Training ratings of each row, that is touches per epoch, int64, shape (R,).
        cold: Rows without a training rating, int64.
        cold_start: Their initial weights, shape (cold rows, K).
        with_rank: Whether to compute the effective rank.
    """
    return (CompiledPass if is_float32_on_cpu(table) else TensorPass)(
        table, counts, cold, cold_start, with_rank=with_rank
    )


class TensorPass:
    """A pass by tensor operations, on any device and in any precision: the twin of `CompiledPass`."""

    def __init__(self, table: Tensor, counts: Tensor, cold: Tensor, cold_start: Tensor, *, with_rank: bool) -> None:
        self._table, self._counts, self._cold, self._cold_start = table, counts, cold, cold_start
        self._with_rank = with_rank

    def norms(self) -> Norms:
        """Return the L2 norm of each row."""
        found: Norms = torch.linalg.vector_norm(self._table, dim=1).cpu().numpy()
        return found

    def measure(self, second_moment: Tensor | None, *, epochs: int) -> PassResult:
        """Measure the table."""
        norms = torch.linalg.vector_norm(self._table, dim=1)
        squares, mean = norms.square().mean(), self._table.mean(dim=0)
        dead = self._counts[:0] if second_moment is None else self._dead(second_moment, epochs)
        cold, on_host = self._table[self._cold], norms.cpu().numpy()
        return PassResult(
            on_host,
            quantiles(on_host),
            _ratio(float(mean.square().sum()), float(squares)),
            len(dead),
            tuple(dead[:EXAMPLES].tolist()),
            float(torch.linalg.vector_norm(cold - self._cold_start)),
            float(torch.linalg.vector_norm(cold)),
            effective_rank(self._table) if self._with_rank else None,
        )

    def _dead(self, moment: Tensor, epochs: int) -> Tensor:
        # The first column first: few rows begin with a zero.
        zero = (moment[:, 0] == 0).nonzero().squeeze(1)
        zero = zero[(moment[zero] == 0).all(dim=1)]
        dead: Tensor = zero[self._counts[zero] * epochs >= _TOUCHES]
        return dead


class CompiledPass:
    """A compiled pass over a float32 table on the CPU: the twin of `TensorPass`."""

    def __init__(self, table: Tensor, counts: Tensor, cold: Tensor, cold_start: Tensor, *, with_rank: bool) -> None:
        rows, columns = table.shape
        self._table, self._with_rank = table, with_rank
        self._rows, self._cold_start, self._none = FlatRows.of(table), FlatRows.of(cold_start), FlatRows.of(table[:0])
        self._counts, self._cold, self._places = counts.numpy(), cold.numpy(), places_among(rows)
        # With more columns, `effective_rank` combines some of them first, by tensor operations.
        self._columns = columns if with_rank and columns <= RANK_COLUMNS else 0
        self._step = spacing(rows, columns)
        self._moment: Tensor | None = None
        self._moments = self._none

    def norms(self) -> Norms:
        """Return the L2 norm of each row."""
        found, none = np.empty(len(self._counts), np.float32), np.empty(0, np.int64)
        _pass(self._rows, found, self._none, self._counts, 0, none, none, self._none)
        return found

    def measure(self, second_moment: Tensor | None, *, epochs: int) -> PassResult:
        """Measure the table."""
        if second_moment is not self._moment:
            self._moment = second_moment
            self._moments = self._none if second_moment is None else FlatRows.of(second_moment)
        norms, found = np.empty(len(self._counts), np.float32), np.empty(len(QUANTILES))
        examples, gram = np.empty(EXAMPLES, np.int64), np.zeros((self._columns, self._columns))
        mean, squares, dead, moved, size = _measure(
            self._rows,
            norms,
            self._places,
            found,
            self._moments,
            self._counts,
            epochs,
            examples,
            self._cold,
            self._cold_start,
            self._step,
            gram,
        )
        return PassResult(
            norms,
            found,
            _ratio(mean, squares),
            dead,
            tuple(examples[:dead].tolist()),
            math.sqrt(moved),
            math.sqrt(size),
            self._rank(gram),
        )

    def _rank(self, gram: npt.NDArray[np.float64]) -> float | None:
        if not self._with_rank:
            return None
        return rank_from(gram) if len(gram) else effective_rank(self._table)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


@cache
def compile_pass() -> None:
    """Compile the pass, or load it from the cache, before an epoch is timed."""
    table, rows = torch.zeros(1, 2), torch.zeros(1, dtype=torch.int64)
    compiled_pass = CompiledPass(table, rows, rows, table, with_rank=True)
    compiled_pass.norms()
    compiled_pass.measure(table, epochs=1)


@compiled()
def _measure(
    weights: Any, norms: Any, places: Any, quantiles: Any, moments: Any, counts: Any, epochs: int, examples: Any,
    cold: Any, cold_start: Any, step: int, gram: Any,
) -> tuple[float, float, int, float, float]:  # fmt: skip
    """Write norms, quantiles, examples and gram; return the rest, see `_pass`."""
    found = _pass(weights, norms, moments, counts, epochs, examples, cold, cold_start)
    fill_quantiles(norms, places, quantiles)
    if len(gram):
        add_products(weights, len(norms), step, gram)
    return found  # type: ignore[no-any-return]


@compiled(fastmath=FAST)
def _pass(
    weights: Any, norms: Any, moments: Any, counts: Any, epochs: int, examples: Any, cold: Any, cold_start: Any
) -> tuple[float, float, int, float, float]:
    """Write norms and examples; return the rest.

    That is: the squared norm of the mean row, the mean of the squared norms, the number of dead rows, and the
    squared norms of the cold rows' movement and of the cold rows.
    """
    dim, total, sums = weights.dim, 0.0, np.zeros(weights.dim)
    for row in range(len(norms)):
        weight = weights.values[row * weights.stride : row * weights.stride + dim]
        square = np.float32(0.0)
        for k in range(dim):
            square += weight[k] * weight[k]
            sums[k] += weight[k]
        size = np.float64(square)
        if not in_float32_range(square):
            size = np.float64(0.0)
            for k in range(dim):
                size += np.float64(weight[k]) ** 2
        total += size
        norms[row] = abs(weight[0]) if dim == 1 else np.sqrt(size)
    mean = 0.0
    for k in range(dim):
        mean += (sums[k] / len(norms)) ** 2
    dead = 0
    for row in range(len(counts) if len(moments.values) else 0):
        k, first = 0, row * moments.stride
        while k < dim and moments.values[first + k] == 0:
            k += 1
        if k == dim and counts[row] * epochs >= _TOUCHES:
            if dead < len(examples):
                examples[dead] = row
            dead += 1
    moved, left = 0.0, 0.0
    for at in range(len(cold)):
        for k in range(dim):
            now = np.float64(weights.values[cold[at] * weights.stride + k])
            moved += (now - cold_start.values[at * cold_start.stride + k]) ** 2
            left += now**2
    return mean, total / len(norms), dead, moved, left
