"""One sampled step, looked at before its gradients are clipped and after its weights have moved."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cfmodel.gradients.buckets import NOT_FINITE, TINY
from cfmodel.gradients.histogram import Histogram, bucket_counts
from cfmodel.gradients.quantiles import quantiles
from cfmodel.gradients.records import EMBEDDINGS, StepSample, TableSample
from cfmodel.gradients.rows import movement, sum_rows
from cfmodel.gradients.stopwatch import Stopwatch
from cfmodel.gradients.touched import DECILES, SIDES, TouchedRows, side_of


@dataclass(frozen=True, eq=False)
class Position:
    """Where in training a step is.

    Attributes:
        phase: `fit` or `refit`.
        epoch: Number of the epoch, from 1.
        step: Number of the update, from 1.
        learning_rate: Step size of this update.
    """

    phase: str
    epoch: int
    step: int
    learning_rate: float


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What every sampled step of a phase shares.

    Attributes:
        tables: The tables that are learned, by name, each of shape (rows, K).
        deciles: Popularity part of each row, by side.
        regularization: Weight of the penalty on the embeddings.
        copies: Room for one copy of each table, by name; empty where only rows looked up move.
        all_rows: Whether a step moves rows that its batch did not look up, too.
        stopwatch: Runs while a step is looked at.
    """

    tables: Mapping[str, Tensor]
    deciles: Mapping[str, Tensor]
    regularization: float
    copies: Mapping[str, Tensor]
    all_rows: bool
    stopwatch: Stopwatch


def can_compile(tables: Mapping[str, Tensor]) -> bool:
    """Return whether tables are such that compiled code can look at them: on the CPU, in float32."""
    return all(table.device.type == "cpu" and table.dtype == torch.float32 for table in tables.values())


def compile_for(table: Tensor) -> None:
    """Have what looks at such a table compiled, or read back, before a clock runs: by looking at none of its rows."""
    values, nothing = table.detach().numpy(), np.empty(0, np.int64)
    few, flags = nothing.astype(np.float32), np.empty(0, bool)
    own = np.ascontiguousarray(values[:0])
    sum_rows(values[:0], values, nothing, few, np.zeros(len(values), np.int64))
    sum_rows(own, values, nothing, few, np.zeros(len(values), np.int64))
    movement(own, values[:0], flags)
    movement(own, own, flags)


@dataclass(frozen=True, eq=False)
class _Before:
    """One table before the update; tensors on the device."""

    number: Tensor
    gradient: Histogram
    row_norms: Histogram
    energy: Tensor
    weight_norm: Tensor
    data_norm: Tensor


class Probe:
    """Looks at one step: `before` once gradients are there, `after` once weights have moved.

    Everything stays on the device until `read`.

    Attributes:
        at: Where in training the step is.
        seconds: What looking at it took so far.
    """

    def __init__(self, at: Position, around: Surroundings) -> None:
        self.at = at
        self._around = around
        self._compiled = can_compile(around.tables)
        self._before: dict[str, _Before] = {}
        #: As large as the batch, so kept for the step alone.
        self._touched: dict[str, TouchedRows] = {}
        self._weights: dict[str, Tensor] = {}
        self._weight_norms: dict[str, Tensor] = {}
        self._moved: dict[str, Tensor] = {}
        self._per_sample = torch.empty(0)
        self.seconds = 0.0

    @torch.no_grad()
    def before(
        self,
        index: Mapping[str, Tensor],
        error: Tensor,
        *,
        touched: Mapping[str, TouchedRows] | None = None,
        gradients: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Take in the batch and the gradients of its loss, not clipped yet.

        Args:
            index: Rows looked up by each side, shape (B,), by `user` and `movie`.
            error: Rating less prediction, in rating units, shape (B,), in the same order.
            touched: The distinct rows among them, by side; None: they are found here.
            gradients: Those rows' gradients, shape (R, K), by table; None: they are in the tables' `.grad`.
        """
        with self._timed():
            tables = self._around.tables
            if touched is None:
                touched = {side: TouchedRows.of(index[side], len(tables[f"{side}_biases"])) for side in SIDES}
            for name, table in tables.items():
                rows = touched[side_of(name)]
                if gradients is not None:
                    gradient = gradients[name]
                else:
                    gradient = rows.take(table.grad if table.grad is not None else torch.zeros_like(table))
                self._look(name, rows, gradient, batch_size=len(error))
            user, movie = (self._squares(side, index[side]) for side in SIDES)
            self._per_sample = per_sample_norms(error, user, movie)

    def _look(self, name: str, touched: TouchedRows, gradient: Tensor, *, batch_size: int) -> None:
        """Take in one table: the rows touched and their gradients, not clipped, shape (R, K)."""
        table = self._around.tables[name].detach()
        if self._compiled:
            self._look_compiled(name, touched, gradient, table, batch_size=batch_size)
            return
        weight = touched.take(table)
        norms, weight_norms = _row_norms(gradient), _row_norms(weight)
        deciles = self._around.deciles[side_of(name)][touched.rows]
        self._before[name] = _Before(
            touched.number,
            bucket_counts(gradient, kept=touched.kept),
            bucket_counts(norms, kept=touched.kept),
            torch.zeros(DECILES, device=table.device).index_add_(0, deciles, norms.square()),
            torch.linalg.vector_norm(weight_norms),
            self._data_norm(name, touched, gradient, weight, batch_size=batch_size),
        )
        if self._around.all_rows:
            self._around.copies[name].copy_(table)
        else:
            self._weights[name] = weight
        self._touched[name], self._weight_norms[name] = touched, weight_norms

    def _look_compiled(
        self, name: str, touched: TouchedRows, gradient: Tensor, table: Tensor, *, batch_size: int
    ) -> None:
        """Do the same in one pass; see `rows`."""
        strength = self._around.regularization if name in EMBEDDINGS else 0.0
        pull = touched.counts * (2 * strength / batch_size)
        deciles = self._around.deciles[side_of(name)]
        sums = sum_rows(gradient.numpy(), table.numpy(), touched.rows.numpy(), pull.numpy(), deciles.numpy())
        zeros, infinities, *of_norms = torch.from_numpy(sums.special)
        squares = torch.from_numpy(sums.squares).sqrt()
        self._before[name] = _Before(
            touched.number,
            Histogram(torch.from_numpy(sums.gradient), zeros, infinities),
            Histogram(torch.from_numpy(sums.norms), *of_norms),
            torch.from_numpy(sums.energy),
            squares[0],
            squares[1],
        )
        if self._around.all_rows:
            self._around.copies[name].copy_(table)
        else:
            self._weights[name] = table[touched.rows]
        self._touched[name], self._weight_norms[name] = touched, torch.from_numpy(sums.weight_norms)

    def _moved_compiled(self, name: str, table: Tensor) -> Tensor:
        rows = self._touched[name].rows
        if self._around.all_rows:
            touched = np.zeros(len(table), bool)
            touched[rows.numpy()] = True
            moved = movement(self._around.copies[name].numpy(), table.numpy(), touched)
        else:
            before = self._weights[name].numpy()
            moved = movement(before, table[rows].numpy(), np.ones(len(before), bool))
        size, ghost, absolute = moved
        return torch.tensor([math.sqrt(size), math.sqrt(ghost), absolute], dtype=torch.float64)

    @torch.no_grad()
    def after(self) -> None:
        """Take in how far the weights moved."""
        with self._timed():
            for name, table in self._around.tables.items():
                if self._compiled:
                    self._moved[name] = self._moved_compiled(name, table.detach())
                    continue
                rows = self._touched[name]
                if not self._around.all_rows:
                    touched = rows.take(table.detach()) - self._weights[name]
                    size = torch.linalg.vector_norm(touched)
                    self._moved[name] = torch.stack([size, torch.zeros_like(size), touched.abs().sum()])
                    continue
                moved = torch.sub(table, self._around.copies[name], out=self._around.copies[name])
                touched = rows.take(moved)
                # What is left once the touched rows are gone is exactly the movement without a gradient.
                ghost = torch.linalg.vector_norm(moved.index_fill_(0, rows.rows, 0.0))
                size = torch.linalg.vector_norm(touched)
                self._moved[name] = torch.stack([size, ghost, touched.abs().sum()])
            self._touched, self._weights, self._weight_norms = {}, {}, {}

    def read(self) -> StepSample:
        """Bring it all to the host."""
        tables = {name: self._table(name) for name in self._around.tables}
        norms = self._per_sample.double()
        size, mean_square = len(norms), float(norms.square().mean())
        batch_square = sum(float(table.data_norm) ** 2 for table in self._before.values())
        trace, signal = noise_and_signal(mean_square, batch_square, size)
        return StepSample(
            phase=self.at.phase,
            epoch=self.at.epoch,
            step=self.at.step,
            batch_size=size,
            learning_rate=self.at.learning_rate,
            tables=tables,
            per_sample_norm=quantiles(norms),
            per_sample_norm_max=float(norms.max()),
            noise_trace=trace,
            signal_square=signal,
            noise_scale=_ratio(trace, signal),
        )

    def _data_norm(
        self, name: str, touched: TouchedRows, gradient: Tensor, weight: Tensor, *, batch_size: int
    ) -> Tensor:
        """Return the norm of a table's gradient less the penalty's part, 2 * strength / B a lookup."""
        strength = self._around.regularization if name in EMBEDDINGS else 0.0
        if not strength:
            whole: Tensor = torch.linalg.vector_norm(gradient)
            return whole
        pull = touched.counts * (2 * strength / batch_size)
        data: Tensor = torch.linalg.vector_norm(torch.addcmul(gradient, weight, pull.unsqueeze(1), value=-1))
        return data

    def _squares(self, side: str, index: Tensor) -> Tensor:
        """Return the squared norm of the embedding that each rating looks up, shape (B,)."""
        name = f"{side}_embeddings"
        squares = torch.zeros(len(self._around.tables[name]), device=index.device)
        # Repeats are zero: adding, unlike setting, leaves the one that counts.
        squares.index_add_(0, self._touched[name].rows, self._weight_norms[name].square())
        found: Tensor = squares[index]
        return found

    @contextmanager
    def _timed(self) -> Iterator[None]:
        before = self._around.stopwatch.seconds
        with self._around.stopwatch:
            yield
        self.seconds += self._around.stopwatch.seconds - before

    def _table(self, name: str) -> TableSample:
        before, table = self._before[name], self._around.tables[name]
        gradient, norms = before.gradient.counts.cpu().numpy(), before.row_norms.counts.cpu().numpy()
        size, ghost, absolute = self._moved[name].tolist()
        zeros, infinities, number = (
            int(before.gradient.zeros),
            int(before.gradient.infinities),
            int(before.number),
        )
        energy = before.energy.double().cpu()
        elements = number * (table.numel() // len(table))
        moved = size**2 + ghost**2
        return TableSample(
            gradient_counts=gradient,
            row_norm_counts=norms,
            rows_touched=number,
            zeros=zeros,
            denormals=int(gradient[TINY[0]] + gradient[TINY[1]]) - zeros,
            infinities=infinities,
            nans=int(gradient[NOT_FINITE[0]] + gradient[NOT_FINITE[1]]) - infinities,
            structural_zero_fraction=1 - number / len(table),
            update_to_weight=_ratio(size, float(before.weight_norm)),
            adam_step=absolute / elements / self.at.learning_rate if self.at.learning_rate else math.nan,
            ghost_share=ghost**2 / moved if moved else 0.0,
            update_norm=math.sqrt(moved),
            energy_by_decile=(energy / energy.sum() if energy.sum() else energy).numpy(),
        )


def _row_norms(rows: Tensor) -> Tensor:
    """Return the L2 norm of each row, shape (R,); that of a single number is its size."""
    return rows.squeeze(1).abs() if rows.shape[1] == 1 else torch.linalg.vector_norm(rows, dim=1)


def per_sample_norms(error: Tensor, user_squares: Tensor, movie_squares: Tensor) -> Tensor:
    """Return the norm of each rating's own gradient of its squared error, penalty left out.

        |g| = 2 |e| sqrt(|p|^2 + |q|^2 + 2)

    d(e^2)/dp = -2 e q, d/dq = -2 e p, and -2 e for either bias.

    Args:
        error: Rating less prediction, in rating units, shape (B,).
        user_squares: |p|^2 of each rating, shape (B,).
        movie_squares: |q|^2 of each rating, shape (B,).

    Returns:
        Norms, shape (B,).
    """
    return 2 * error.abs() * (user_squares + movie_squares + 2).sqrt()


def noise_and_signal(mean_square: float, batch_square: float, batch_size: int) -> tuple[float, float]:
    """Estimate noise and signal of the gradient from one batch; both unbiased.

        trace  = B / (B - 1) * (mean |g|^2 - |mean g|^2)
        signal = |mean g|^2 - trace / B

    Args:
        mean_square: Mean of the squared per-sample norms, mean |g|^2.
        batch_square: Squared norm of their mean, |mean g|^2.
        batch_size: B.

    Returns:
        Trace of the per-sample covariance and squared norm of the gradient over all ratings; NaN for B = 1.

    Source: McCandlish et al., "An Empirical Model of Large-Batch Training" (2018), appendix A.1.
    """
    if batch_size < 2:
        return math.nan, math.nan
    trace = batch_size / (batch_size - 1) * (mean_square - batch_square)
    return trace, batch_square - trace / batch_size


def _ratio(part: float, whole: float) -> float:
    """Divide, where nothing over nothing is 0 and a whole that is not positive is drowned."""
    if whole > 0:
        return part / whole
    if math.isnan(whole):
        return math.nan
    return math.inf if part else 0.0
