"""Limits of the machine: bytes and operations per rating, divided by measured rates.

The bytes are those of the ratings and of Adam on the rows that a step touches; the operations are those of prediction,
gradients and Adam. The number of rows that a step touches comes from the records of a real training.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange, set_num_threads

from cfmodel.config import TrainSettings
from cfmodel.gradients.recording.gradient_records import InitialRecord, StepBlock
from cfmodel.training.epoch_records import EpochRecord

#: Bytes of a float32 and of a rating (two row numbers and a value), and tables of Adam: weights, two moments.
_FLOAT, _RATING, _TABLES = 4, 12, 3
#: Operations per element: prediction, either gradient with its penalty; both moments, the root and the update.
_PER_RATING, _PER_ROW = 2 + 4 + 4, 12
#: Floats in each array of the triad beyond any cache, and rounds of each measurement.
_BEYOND, _ROUNDS = 2**25, 7
#: Numbers in parallel chains of multiply-adds, and the length of a chain between load and store.
_LANES, _CHAIN = 512, 32

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Machine:
    """Rates per second of all threads together.

    Attributes:
        memory: Bytes to and from memory.
        cached: Bytes to and from the caches, for arrays of the size of a set's tables.
        operations: Float32 additions and multiplications.
    """

    memory: float
    cached: float
    operations: float

    @classmethod
    def measured(cls, table_bytes: int, *, threads: int) -> "Machine":
        """Measure this machine; the arrays for the caches have `table_bytes` in total."""
        set_num_threads(threads)
        cached = _triad_rate(max(table_bytes // (3 * _FLOAT), 1024), threads)
        return cls(_triad_rate(_BEYOND, threads), cached, _fma_rate(threads))


@dataclass(frozen=True)
class Work:
    """Bytes, operations and time of one rating.

    Attributes:
        rows: Rows of either table that a step touches, per rating.
        row_bytes: Bytes to and from the rows, weights and both moments, per rating.
        gathered_bytes: Bytes of the other side's row, read once in either pass, per rating.
        operations: Additions and multiplications per rating.
        table_bytes: Weights and moments of all rows.
        seconds: Measured seconds per rating, in the median epoch.
    """

    rows: float
    row_bytes: float
    gathered_bytes: float
    operations: float
    table_bytes: int
    seconds: float

    @classmethod
    def of(cls, records: list[Any], paced: list[Any], line: TrainSettings, *, num_rows: int) -> "Work":
        """Compute the work from the records of a training.

        Args:
            records: Records of a training in which the monitor measured every epoch, for the touched rows.
            paced: Records of an ordinary training, for its time.
            line: The settings of both.
            num_rows: Users and movies together.
        """
        blocks = [record.rows_touched for record in records if isinstance(record, StepBlock)]
        touched = np.concatenate([block["user_embeddings"] + block["movie_embeddings"] for block in blocks])
        counted = touched[touched >= 0]
        ratings = next(record.num_ratings for record in records if isinstance(record, InitialRecord))
        epochs = [record for record in paced if isinstance(record, EpochRecord)]
        rows = float(counted.mean()) if line.adam == "touched_rows" else float(num_rows)
        rows *= epochs[0].step / ratings
        width = line.embedding_dim + 1  # with the bias
        return cls(
            rows=rows,
            row_bytes=rows * width * _FLOAT * _TABLES * 2,
            gathered_bytes=2 * width * _FLOAT + _RATING,
            operations=line.embedding_dim * _PER_RATING + rows * width * _PER_ROW,
            table_bytes=num_rows * width * _FLOAT * _TABLES,
            seconds=median(1 / record.ratings_per_second for record in epochs),
        )

    def seconds_at_least(self, machine: Machine) -> dict[str, float]:
        """Return the least seconds per rating for each limit."""
        everything = self.row_bytes + self.gathered_bytes
        return {
            "memory": everything / machine.memory,
            "caches": everything / machine.cached,
            "operations": self.operations / machine.operations,
        }


def report(work: Work, machine: Machine) -> str:
    """Return the limits and the distance of the training from them, as text."""
    lines = [
        f"machine   triad {machine.memory / 1e9:.1f} GB/s from memory, {machine.cached / 1e9:.1f} GB/s on "
        f"{work.table_bytes / 2**20:.1f} MiB; {machine.operations / 1e9:.0f} Gflop/s",
        f"a rating  touches {work.rows:.3f} rows: {work.row_bytes:.0f} bytes of weights and moments, "
        f"{work.gathered_bytes:.0f} bytes of ratings and of the other side's rows, {work.operations:.0f} operations",
        f"measured  {work.seconds * 1e9:.1f} ns a rating, {1e-6 / work.seconds:.1f} M ratings a second",
    ]
    for bound, seconds in work.seconds_at_least(machine).items():
        lines.append(
            f"floor     {seconds * 1e9:6.1f} ns by {bound:<10} measured is {work.seconds / seconds:.1f} times that"
        )
    return "\n".join(lines)


def _best(run: Callable[[], object]) -> float:
    run()  # compiles
    taken = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        run()
        taken.append(time.perf_counter() - started)
    return min(taken)


def _triad_rate(size: int, threads: int) -> float:
    """Return bytes per second of `a = b + s * c`; short arrays are processed many times."""
    a, b, c = (np.ones(size, np.float32) for _ in range(3))
    times = max(1, _BEYOND // size)
    return 3 * _FLOAT * size * times / _best(lambda: _triad(a, b, c, np.float32(0.5), times, threads))


def _fma_rate(threads: int) -> float:
    """Return float32 operations per second of multiply-adds that need no memory."""
    values, times = np.ones((threads, _LANES), np.float32), 20_000
    factor, summand = np.float32(0.9999), np.float32(0.0001)
    rate: float = 2 * values.size * _CHAIN * times / _best(lambda: _multiply_add(values, factor, summand, times))
    return rate


@njit(parallel=True, fastmath=True)
def _triad(a: Floats, b: Floats, c: Floats, scale: np.float32, times: int, parts: int) -> None:
    length = (len(a) + parts - 1) // parts
    for part in prange(parts):
        first, last = part * length, min(len(a), (part + 1) * length)
        to, one, other = a[first:last], b[first:last], c[first:last]
        for _ in range(times):
            for at in range(len(to)):  # from zero, so that the loop is vectorised: no index can be negative
                to[at] = one[at] + scale * other[at]


@njit(parallel=True, fastmath=True)
def _multiply_add(values: Floats, factor: np.float32, summand: np.float32, times: int) -> None:
    for thread in prange(len(values)):
        own = values[thread]
        for _ in range(times):
            for lane in range(_LANES):
                value = own[lane]
                for _ in range(_CHAIN):  # unrolled: one load and one store per chain
                    value = value * factor + summand
                own[lane] = value
