"""Record a training's metrics by epoch, without ever raising into the training or holding it up."""

import contextvars
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from threading import Event, Thread
from typing import Self

from cfmodel.errors import TrackingError
from cfmodel.gradients.recording.gradient_metrics import EpochMetrics, cost_metrics, initial_metrics
from cfmodel.gradients.recording.gradient_records import InitialRecord, MonitorCost
from cfmodel.system.addresses import redact
from cfmodel.tracking.outbox.deliver import count_unsent, deliver, deliver_if_due
from cfmodel.tracking.outbox.entries import Point
from cfmodel.tracking.outbox.log_entries import journal_of
from cfmodel.tracking.run import TrackedRun
from cfmodel.training.epoch_records import EpochRecord, StartRecord

#: Seconds between two attempts of the thread to reach a store that was away.
_THREAD_SECONDS = 2.0
_log = logging.getLogger(__name__)


class Recorder:
    """Turns a training's records into metrics by step: `fit(..., on_record=recorder)`.

    Records without metrics are ignored. `best_epoch` and `best_val_rmse` get a point at every epoch
    that is the best so far, so their last point is the best of all, wherever a training ends or resumes.

    Args:
        sink: Where the points go, at the end of each epoch.
        flush_seconds: Shortest time between two flushes; 0 flushes at each epoch.
    """

    def __init__(self, sink: "MetricSink", *, flush_seconds: float = 2.0) -> None:
        self._sink = sink
        self._flush_seconds = flush_seconds
        self._next_flush = 0.0
        self._pending: list[Point] = []
        self._gradients = EpochMetrics()

    def __call__(self, record: object) -> None:
        """Record one record; flush if that is due."""
        self._gradients.take(record)
        if isinstance(record, InitialRecord):
            self._write(record.phase, 0, initial_metrics(record))
        elif isinstance(record, MonitorCost):
            last = self._sink.last_step(f"{_prefix(record.phase)}train/loss")
            self._write(record.phase, last, self._gradients.give() | cost_metrics(record))
        elif isinstance(record, StartRecord):
            found = {"val/rmse": record.val_rmse, "best_epoch": 0.0, "best_val_rmse": record.val_rmse}
            self._write(record.phase, 0, found)
        elif isinstance(record, EpochRecord):
            self._write(record.phase, record.epoch, _metrics_of(record) | self._gradients.give())
            if time.monotonic() >= self._next_flush:
                self._sink.flush()
                self._next_flush = time.monotonic() + self._flush_seconds

    def close(self) -> None:
        """Write and send the rest.

        Raises:
            OSError: The disk cannot be written.
            TrackingError: The sink can neither send nor keep it.
        """
        self._sink.write(self._pending)
        self._pending = []
        self._sink.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Close; an error of the block is not replaced by one of closing, which is logged."""
        try:
            self.close()
        except Exception as refusal:
            if error is None:
                raise
            _log.warning("%s", refusal)

    def _write(self, phase: str, epoch: int, metrics: Mapping[str, float | None]) -> None:
        """Write one epoch's points; while the disk is full they wait in memory."""
        prefix, now = _prefix(phase), time.time_ns() // 1_000_000
        points = {f"{prefix}{key}": value for key, value in metrics.items() if value is not None}
        was_full = bool(self._pending)
        self._pending += [Point(key, float(value), epoch, now) for key, value in points.items()]
        try:
            self._sink.write(self._pending)
        except OSError as error:
            if not was_full:
                _log.warning("metrics cannot be written now, training continues and keeps them in memory: %s", error)
        else:
            self._pending = []


class MetricSink:
    """Writes points to a run's journal and sends them to the store.

    While the store answers, points are sent in the training's own thread, between two epochs: a second
    thread would slow the steps down by more than it saves. The first time-out holds the training up
    once; from then on a thread that mostly sleeps retries until the store has everything.

    Args:
        run: The run. One without a journal gets a temporary one, and `close` then requires that the
            store has everything.
    """

    def __init__(self, run: TrackedRun) -> None:
        self._run = run
        self._open = ExitStack()
        self._journal = self._open.enter_context(journal_of(run))
        self._closing = Event()
        self._retrying: Thread | None = None
        self._gave_up = False

    def write(self, points: Sequence[Point]) -> None:
        """Write points to the journal, which drops those whose key and step it has.

        Raises:
            OSError: The disk cannot be written; no point is kept.
        """
        self._journal.append(points)

    def last_step(self, key: str) -> int:
        """Return the highest step of a metric; 0 if it has no point."""
        history = self._journal.history(key)
        return history[-1].step if history else 0

    def flush(self) -> None:
        """Send what the store has not taken yet; if it is away, leave that to a thread. Never raises."""
        if self._is_retrying() or self._gave_up:
            return
        if not self._is_delivered():
            # The thread logs within the flow run that started it.
            context = contextvars.copy_context()
            self._retrying = Thread(target=context.run, args=(self._retry,), name="cfmodel-delivery", daemon=True)
            self._retrying.start()

    def close(self) -> None:
        """Send the rest; what the store does not take now stays in the journal.

        Raises:
            TrackingError: The run has no journal, and the store does not have everything.
        """
        self._closing.set()
        with self._open:
            if self._run.journal_folder is None:
                self._require_all()
            elif not self._is_retrying():
                self._is_delivered()

    def _is_retrying(self) -> bool:
        return self._retrying is not None and self._retrying.is_alive()

    def _retry(self) -> None:
        while not self._closing.wait(_THREAD_SECONDS):
            if self._is_delivered():
                return

    def _is_delivered(self) -> bool:
        """Deliver, and return whether the store has everything or never will."""
        try:
            return deliver_if_due(self._journal, self._run.tracking_uri)
        except Exception as error:  # whatever the store does, training continues
            _log.warning("%s", error)
            self._gave_up = True
            return True

    def _require_all(self) -> None:
        try:
            refused = deliver(self._journal, self._run.tracking_uri).refused
        except TrackingError as error:
            raise TrackingError(
                f"{error} ({count_unsent(self._journal):,} entries about run {self._run.run_id} were not recorded; the "
                "training is not affected)"
            ) from error
        if refused:
            raise TrackingError(f"{redact(self._run.tracking_uri)}: {refused[0]}; all others are in the store")


def recorder(run: TrackedRun, *, flush_seconds: float = 2.0) -> Recorder:
    """Return the `on_record` of a training that records its epochs in `run`."""
    return Recorder(MetricSink(run), flush_seconds=flush_seconds)


def _prefix(phase: str) -> str:
    """Return what the names of a phase's metrics begin with: those of the refit have names of their own."""
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
