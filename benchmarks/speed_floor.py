"""What the machine allows: bytes a rating must move and operations it must do, over measured rates.

The bytes are those of Adam on the rows that a step touches and of the ratings themselves; the
operations those of prediction, gradients and Adam. How many rows a step touches is taken from the
records of a real training, not assumed.
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

#: Bytes of a float32, of a rating (two rows and its truth), and tables Adam keeps: weights, two moments.
_FLOAT, _RATING, _TABLES = 4, 12, 3
#: Operations per element: prediction, either gradient with its penalty; both moments, the root and the update.
_PER_RATING, _PER_ROW = 2 + 4 + 4, 12
#: Floats in each array of the triad that is beyond any cache, and rounds of either measurement.
_BEYOND, _ROUNDS = 2**25, 7
#: Numbers that are multiplied and added to side by side, and how often each before it is put back.
_LANES, _CHAIN = 512, 32

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Machine:
    """What all threads together do in a second.

    Attributes:
        memory: Bytes to and from memory.
        cached: Bytes to and from the caches, for arrays as large as a set's tables.
        operations: Float32 additions and multiplications.
    """

    memory: float
    cached: float
    operations: float

    @classmethod
    def measured(cls, table_bytes: int, *, threads: int) -> "Machine":
        """Measure this machine, the caches with arrays of so many bytes together."""
        set_num_threads(threads)
        cached = _triad_rate(max(table_bytes // (3 * _FLOAT), 1024), threads)
        return cls(_triad_rate(_BEYOND, threads), cached, _fma_rate(threads))


@dataclass(frozen=True)
class Work:
    """What one rating needs of the machine.

    Attributes:
        rows: Rows of either table that a step touches, per rating.
        row_bytes: Bytes to and from the rows, weights and both moments, per rating.
        gathered_bytes: Bytes of the other side's row, read once in either pass, per rating.
        operations: Additions and multiplications per rating.
        table_bytes: Weights and moments of all rows.
        seconds: What the training took per rating, the median epoch.
    """

    rows: float
    row_bytes: float
    gathered_bytes: float
    operations: float
    table_bytes: int
    seconds: float

    @classmethod
    def of(cls, records: list[Any], paced: list[Any], line: TrainSettings, *, num_rows: int) -> "Work":
        """Read the work off the records of a training.

        Args:
            records: Of a training whose every epoch was looked at: which rows it touched.
            paced: Of one as it comes: how long it took.
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
        """Return the least seconds per rating, by what bounds them."""
        everything = self.row_bytes + self.gathered_bytes
        return {
            "memory": everything / machine.memory,
            "caches": everything / machine.cached,
            "operations": self.operations / machine.operations,
        }


def report(work: Work, machine: Machine) -> str:
    """Return the floor and how far the training is from it, as lines."""
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
    """Return bytes a second of `a = b + s * c`; short arrays are gone through many times."""
    a, b, c = (np.ones(size, np.float32) for _ in range(3))
    times = max(1, _BEYOND // size)
    return 3 * _FLOAT * size * times / _best(lambda: _triad(a, b, c, np.float32(0.5), times, threads))


def _fma_rate(threads: int) -> float:
    """Return float32 operations a second of multiply-adds that need no memory."""
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
            for at in range(len(to)):  # from zero, so that it is vectorised: no index can be negative
                to[at] = one[at] + scale * other[at]


@njit(parallel=True, fastmath=True)
def _multiply_add(values: Floats, factor: np.float32, summand: np.float32, times: int) -> None:
    for thread in prange(len(values)):
        own = values[thread]
        for _ in range(times):
            for lane in range(_LANES):
                value = own[lane]
                for _ in range(_CHAIN):  # unrolled: a load and a store for so many multiply-adds
                    value = value * factor + summand
                own[lane] = value
