"""Where a training's points go: into the run's journal at once, to the store without holding the training up."""

import contextvars
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from threading import Event, Thread

from cfmodel.errors import TrackingError
from cfmodel.system.addresses import shown
from cfmodel.tracking.outbox.deliver import deliver, deliver_if_due, waiting
from cfmodel.tracking.outbox.journal import Journal
from cfmodel.tracking.outbox.training_metrics import Point, Recorder
from cfmodel.tracking.outbox.write import passing_journal
from cfmodel.tracking.run import TrackedRun

#: Between two looks whether a store that was away is back.
_LOOK_SECONDS = 2.0
_log = logging.getLogger(__name__)


def recorder(run: TrackedRun, *, flush_seconds: float = 2.0) -> Recorder:
    """Return the `on_record` of a training that records its epochs in `run`."""
    return Recorder(Courier(run), flush_seconds=flush_seconds)


class Courier:
    """Keeps points in a run's journal and takes them to the store.

    While the store answers, that happens in the training's own thread, between two epochs: a second
    thread would slow the steps down by more than it saves. The first time it does not answer costs
    the training one time-out; from then on a thread that mostly sleeps goes on trying, until
    everything is there.

    Args:
        run: The run. One without a spool has a journal until `close`, which then is an error if the
            store has not everything.
    """

    def __init__(self, run: TrackedRun) -> None:
        self._run = run
        self._open = ExitStack()
        self._journal = Journal(run.spool) if run.spool else self._open.enter_context(passing_journal(run))
        self._closing = Event()
        self._trying: Thread | None = None
        self._gave_up = False

    def take(self, points: Sequence[Point]) -> None:
        """Put points into the journal."""
        self._journal.append(points)

    def last_step(self, key: str) -> int:
        """Return the highest step of a metric; 0 where it has no point."""
        history = self._journal.history(key)
        return history[-1].step if history else 0

    def flush(self) -> None:
        """Send what the store has not taken yet; if it is away, leave that to a thread."""
        if self._is_trying() or self._gave_up:
            return
        if not self._has_delivered():
            # The thread says what it has to say in the name of the flow run that started it.
            within = contextvars.copy_context()
            self._trying = Thread(target=within.run, args=(self._try_on,), name="cfmodel-courier", daemon=True)
            self._trying.start()

    def close(self) -> None:
        """Send the rest; what the store does not take now, stays in the journal.

        Raises:
            TrackingError: The run has no spool, and the store has not everything.
        """
        self._closing.set()
        with self._open:
            if self._run.spool is None:
                self._require_all()
            elif not self._is_trying():
                self._has_delivered()

    def _is_trying(self) -> bool:
        return self._trying is not None and self._trying.is_alive()

    def _try_on(self) -> None:
        while not self._closing.wait(_LOOK_SECONDS):
            if self._has_delivered():
                return

    def _has_delivered(self) -> bool:
        """Return whether the store has everything, or never will."""
        try:
            return deliver_if_due(self._journal, self._run.tracking_uri)
        except Exception as error:  # whatever the store does, training goes on
            _log.warning("%s", error)
            self._gave_up = True
            return True

    def _require_all(self) -> None:
        where = shown(self._run.tracking_uri)
        try:
            refused = deliver(self._journal, self._run.tracking_uri).refused
        except TrackingError as error:
            raise TrackingError(
                f"{error} ({waiting(self._journal):,} entries about run {self._run.run_id} were not recorded; the "
                "training is not affected)"
            ) from error
        if refused:
            raise TrackingError(f"{where}: {refused[0]}")
