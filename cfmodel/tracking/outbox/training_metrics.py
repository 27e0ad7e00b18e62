"""The recorder between training and a tracking store: training's records become points, and never an error."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from cfmodel.gradients.recording.gradient_metrics import EpochMetrics, cost_metrics, initial_metrics
from cfmodel.gradients.recording.gradient_records import InitialRecord, MonitorCost
from cfmodel.training.epoch_records import EpochRecord

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


class Sink(Protocol):
    """Where points go."""

    def take(self, points: Sequence[Point]) -> None:
        """Take points; those whose key and step it has are dropped.

        Raises:
            OSError: The disk does not take them; it has none of them then.
        """
        ...

    def last_step(self, key: str) -> int:
        """Return the highest step of a metric; 0 where it has no point."""
        ...

    def flush(self) -> None:
        """Hand on what is here, as far as that goes without holding the training up. Never raises."""
        ...

    def close(self) -> None:
        """Hand on the rest."""
        ...


class Recorder:
    """Turns training's records into metrics by step.

    It is the `on_record` of a training: `fit(..., on_record=recorder)`. Records that hold no
    metrics pass unheeded. `best_epoch` and `best_val_rmse` get a point at every epoch that is the
    best so far, so that the last one is the best of all, wherever a training ends or goes on.

    Args:
        sink: Where the points go. It is told each epoch's points when the epoch ends.
        flush_seconds: Shortest time between two flushes; 0 flushes at each epoch.
    """

    def __init__(self, sink: Sink, *, flush_seconds: float = 2.0) -> None:
        self._sink = sink
        self._flush_seconds = flush_seconds
        self._next_flush = 0.0
        self._pending: list[Point] = []
        self._gradients = EpochMetrics()

    def __call__(self, record: object) -> None:
        """Take one record; flush if that is due."""
        self._gradients.take(record)
        if isinstance(record, InitialRecord):
            self._add(record.phase, 0, initial_metrics(record))
        elif isinstance(record, MonitorCost):
            last = self._sink.last_step(f"{_prefix(record.phase)}train/loss")
            self._add(record.phase, last, self._gradients.give() | cost_metrics(record))
        elif isinstance(record, EpochRecord):
            self._add(record.phase, record.epoch, _metrics_of(record) | self._gradients.give())
            self._flush_if_due()

    def close(self) -> None:
        """Hand on the rest.

        Raises:
            OSError: The disk does not take it.
            TrackingError: The sink cannot hand it on, and will not keep it.
        """
        self._sink.take(self._pending)
        self._pending = []
        self._sink.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close; where the block raised, its error matters more than what cannot be recorded."""
        try:
            self.close()
        except Exception as refusal:
            if error is None:
                raise
            _log.warning("%s", refusal)

    def _add(self, phase: str, epoch: int, metrics: Mapping[str, float | None]) -> None:
        """Give one epoch's points away; what a full disk does not take waits here for the next."""
        prefix, now = _prefix(phase), time.time_ns() // 1_000_000
        points = {f"{prefix}{key}": value for key, value in metrics.items() if value is not None}
        waited = bool(self._pending)
        self._pending += [Point(key, float(value), epoch, now) for key, value in points.items()]
        try:
            self._sink.take(self._pending)
        except OSError as error:
            if not waited:
                _log.warning("metrics cannot be kept on disk now, training goes on and holds them in memory: %s", error)
        else:
            self._pending = []

    def _flush_if_due(self) -> None:
        if time.monotonic() >= self._next_flush:
            self._sink.flush()
            self._next_flush = time.monotonic() + self._flush_seconds


def _prefix(phase: str) -> str:
    """Return what the metrics of a phase begin with: those of the refit have names of their own."""
    return "" if phase == "fit" else f"{phase}/"


def _metrics_of(record: EpochRecord) -> dict[str, float | None]:
    best = record.phase == "fit" and record.best
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
        "best_epoch": float(record.epoch) if best else None,
        "best_val_rmse": record.val_rmse if best else None,
    }
