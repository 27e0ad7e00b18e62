"""Measurements of one sampled step, before its gradients are clipped and after the update."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cfmodel.gradients.measuring.monitored_table import Sensitivity
from cfmodel.gradients.measuring.stopwatch import Stopwatch
from cfmodel.gradients.measuring.table_probe import SampledTable, ratio
from cfmodel.gradients.measuring.table_probe_cpu import is_float32_on_cpu
from cfmodel.gradients.measuring.touched_rows import TouchedRows
from cfmodel.gradients.recording.gradient_records import StepSample
from cfmodel.gradients.statistics.quantiles import quantiles
from cfmodel.system.compiled import FAST, compiled


@dataclass(frozen=True, eq=False)
class Position:
    """The position of a step in training.

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


class Probe:
    """Measures one step: `measure_gradients` before clipping, `measure_update` after Adam.

    Everything stays on the device until `read`.

    Args:
        at: The position of the step.
        tables: The learned tables by name.
        sensitivity: The derivative of a prediction by their rows.
        stopwatch: Runs during the measurements.

    Attributes:
        at: The position of the step.
        seconds: Time of the measurements so far.
    """

    def __init__(
        self, at: Position, tables: Mapping[str, SampledTable], sensitivity: Sensitivity, stopwatch: Stopwatch
    ) -> None:
        self.at, self.seconds, self._sensitivity = at, 0.0, sensitivity
        self._tables, self._stopwatch = tables, stopwatch
        self._probes = {name: table.probe() for name, table in tables.items()}
        self._per_sample = torch.empty(0)

    @torch.no_grad()
    def measure_gradients(
        self,
        index: Mapping[str, Tensor],
        error: Tensor,
        *,
        touched: Mapping[str, TouchedRows] | None = None,
        gradients: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Measure the gradients of the batch's loss before clipping.

        Args:
            index: Rows of the batch by side, shape (B,).
            error: Standardized rating less score, in the same order, shape (B,).
            touched: The distinct rows of the batch by side; None: they are found here.
            gradients: Gradients of these rows by table, shape (R, K); None: they are in the tables' `.grad`.
        """
        with self.timed():
            if touched is None:
                num_rows = {sampled.side: len(sampled.table) for sampled in self._tables.values()}
                touched = {side: TouchedRows.of(index[side], number) for side, number in num_rows.items()}
            for name, sampled in self._tables.items():
                rows, table = touched[sampled.side], sampled.table
                if gradients is not None:
                    gradient = gradients[name]
                else:
                    gradient = rows.take(table.grad if table.grad is not None else torch.zeros_like(table))
                self._probes[name].measure_gradients(rows, gradient, batch_size=len(error))
            constant, names = self._sensitivity
            squares = [self._probes[name].squares(index[self._tables[name].side]) for name in names]
            self._per_sample = per_sample_norms(error, squares, constant)

    @torch.no_grad()
    def measure_update(self) -> None:
        """Measure the update of the weights."""
        with self.timed():
            for probe in self._probes.values():
                probe.measure_update()

    def read(self) -> StepSample:
        """Return the record of the step, on the host."""
        measured = {name: probe.read() for name, probe in self._probes.items()}
        norms = self._per_sample.cpu().numpy()
        size, mean_square = len(norms), float(np.square(norms, dtype=np.float64).mean())
        batch_square = sum(table.data_norm**2 for table in measured.values())
        trace, signal = noise_and_signal(mean_square, batch_square, size)
        tables = {}
        for name, table in measured.items():
            rows, dim = self._tables[name].table.shape
            tables[name] = table.sample(rows=rows, dim=dim, learning_rate=self.at.learning_rate)
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
            noise_scale=ratio(trace, signal),
        )

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the block's time as measuring; blocks must not be nested."""
        before = self._stopwatch.seconds
        with self._stopwatch:
            yield
        self.seconds += self._stopwatch.seconds - before


def per_sample_norms(error: Tensor, squares: Sequence[Tensor], constant: int) -> Tensor:
    """Return the norm of the gradient of each rating's squared error, without the penalty.

        |g| = 2 |e| |d prediction / d rows|

    Compiled for float32 on the CPU by `_per_sample_norms`, the twin of the tensor operations for all else.

    Args:
        error: Standardized rating less score, shape (B,).
        squares: |row|^2 of each rating, for each table of the `Sensitivity`, each of shape (B,).
        constant: The constant of the `Sensitivity`.

    Returns:
        Norms, shape (B,).
    """
    first, *others = squares or [torch.zeros_like(error)]
    rest = reduce(torch.add, others) if others else torch.zeros_like(first)
    if is_float32_on_cpu(error, first, rest):
        found = np.empty(len(error), np.float32)
        _per_sample_norms(error.numpy(), first.numpy(), rest.numpy(), np.float32(constant), found)
        return torch.from_numpy(found)
    return 2 * error.abs() * (first + rest + constant).sqrt()


@cache
def compile_norms() -> None:
    """Compile the norms, or load them from the cache, before a step is timed."""
    one = torch.ones(1)
    per_sample_norms(one, [one, one], 2)


@compiled(fastmath=FAST)
def _per_sample_norms(error: Any, first: Any, rest: Any, constant: Any, found: Any) -> None:
    for at in range(len(found)):
        found[at] = 2 * abs(error[at]) * np.sqrt(first[at] + rest[at] + constant)


def noise_and_signal(mean_square: float, batch_square: float, batch_size: int) -> tuple[float, float]:
    """Estimate noise and signal of the gradient from one batch, both without bias.

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
