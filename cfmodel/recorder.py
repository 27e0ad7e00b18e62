"""The recorder between training and a tracking store: it buffers, sends batches, never raises into the loop."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from cfmodel.errors import TrackingError
from cfmodel.gradients.metrics import EpochMetrics, cost_metrics, initial_metrics
from cfmodel.gradients.records import InitialRecord, MonitorCost
from cfmodel.training.records import EpochRecord

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Point:
    """One value of one metric.

    Attributes:
        key: Name of the metric.
        value: Its value, in the unit its name says.
        step: Epoch it belongs to, from 1; 0 before training.
        milliseconds: When it was made, since 1970-01-01 UTC. Sending a point again with the same
            key, step and time leaves one point, so that a batch may safely be sent twice.
    """

    key: str
    value: float
    step: int
    milliseconds: int


#: Hands a batch of points to the store; raises if the store did not take it.
Send = Callable[[Sequence[Point]], None]


class Recorder:
    """Turns training's records into metrics by step and sends them in batches.

    It is the `on_record` of a training: `fit(..., on_record=recorder)`. Records that hold no
    metrics pass unheeded. A store that refuses or is away is noted once in the log and tried again
    later; the points stay here. `close` is where that becomes an error.

    Args:
        send: Hands a batch to the store.
        where: Name of the store, for messages.
        flush_seconds: Shortest time between two batches; 0 sends at each epoch.
        retry_seconds: How long a store that failed is left alone, so that one that hangs delays
            the training by no more than its timeout each such time.
    """

    def __init__(self, send: Send, *, where: str, flush_seconds: float = 2.0, retry_seconds: float = 30.0) -> None:
        self._send = send
        self._where = where
        self._flush_seconds = flush_seconds
        self._retry_seconds = retry_seconds
        self._next_flush = 0.0
        self._pending: list[Point] = []
        self._gradients = EpochMetrics()
        self._epoch = 0
        self._best: EpochRecord | None = None
        self._failure: str | None = None

    @property
    def pending(self) -> Sequence[Point]:
        """Points the store has not taken yet, oldest first."""
        return tuple(self._pending)

    def __call__(self, record: object) -> None:
        """Take one record; send what is buffered if that is due."""
        self._gradients.take(record)
        if isinstance(record, InitialRecord):
            self._add(record.phase, 0, initial_metrics(record))
        elif isinstance(record, MonitorCost):
            self._add(record.phase, self._epoch, self._gradients.give() | cost_metrics(record))
        elif isinstance(record, EpochRecord):
            self._take_epoch(record)

    def _take_epoch(self, record: EpochRecord) -> None:
        self._epoch = record.epoch
        self._add(record.phase, record.epoch, _metrics_of(record) | self._gradients.give())
        if record.phase == "fit" and record.best:
            self._best = record
        if time.monotonic() >= self._next_flush:
            self.flush()

    def _add(self, phase: str, epoch: int, metrics: Mapping[str, float | None]) -> None:
        """Buffer one epoch's points; those of the refit under `refit/`, so that no curve is drawn twice."""
        prefix, now = "" if phase == "fit" else f"{phase}/", _milliseconds()
        points = {f"{prefix}{key}": value for key, value in metrics.items() if value is not None}
        self._pending.extend(Point(key, float(value), epoch, now) for key, value in points.items())

    def flush(self) -> bool:
        """Send what is buffered; return whether the store has everything. Never raises."""
        if not self._pending:
            return True
        try:
            self._send(self._pending)
        except Exception as error:  # whatever the store does, training goes on
            self._note(error)
            return False
        self._pending = []
        self._failure = None
        self._next_flush = time.monotonic() + self._flush_seconds
        return True

    def close(self) -> None:
        """Add `best_val_rmse` and `best_epoch` and send the rest.

        Raises:
            TrackingError: The store did not take everything; the message says what is missing.
        """
        if self._best is not None:
            self._pending.extend(_best_points(self._best))
            self._best = None
        if not self.flush():
            steps = sorted({point.step for point in self._pending})
            raise TrackingError(
                f"{self._where}: {len(self._pending):,} metric points of epochs {steps[0]:,} to {steps[-1]:,} "
                f"were not recorded: {self._failure}; the trained model is not affected, "
                f"bring the store back and run again to record them"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close; where the block raised, its error matters more than a store that is away."""
        try:
            self.close()
        except TrackingError:
            if error is None:
                raise

    def _note(self, error: Exception) -> None:
        if self._failure is None:
            _log.warning("%s does not take metrics, training goes on and keeps them: %s", self._where, error)
        self._failure = str(error)
        self._next_flush = time.monotonic() + self._retry_seconds


def _metrics_of(record: EpochRecord) -> dict[str, float | None]:
    return {
        "train/loss": record.train_loss,
        "train/rmse": record.train_rmse,
        "train/learning_rate": record.learning_rate,
        "train/clipped_fraction": record.clipped_fraction,
        "val/rmse": record.val_rmse,
        **{f"grad_norm/{table}": norm for table, norm in record.grad_norms.items()},
        "grad_norm/total": record.total_grad_norm,
        "time/epoch_seconds": record.seconds,
        "time/ratings_per_second": record.ratings_per_second,
    }


def _best_points(best: EpochRecord) -> Iterator[Point]:
    now = _milliseconds()
    yield Point("best_epoch", float(best.epoch), best.epoch, now)
    if best.val_rmse is not None:
        yield Point("best_val_rmse", best.val_rmse, best.epoch, now)


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000
