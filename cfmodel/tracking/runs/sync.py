"""Records that wait on this disk brought to the store: at the end of a run, and by `cfmodel sync`."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cfmodel.config import TrackingSettings
from cfmodel.errors import CFModelError, StoreAwayError, TrackingError
from cfmodel.system.addresses import shown
from cfmodel.tracking.outbox.deliver import deliver, forget, note_away, waiting
from cfmodel.tracking.outbox.delivery_progress import Sent
from cfmodel.tracking.outbox.journal import JOURNAL, Journal
from cfmodel.tracking.run import TrackedRun
from cfmodel.tracking.runs.lifecycle import open_run

_PAUSE_SECONDS = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Synced:
    """What came of one run whose records waited.

    Attributes:
        folder: The folder of its journal.
        run_id: Its id in the store; None where it has none yet.
        entries: How many entries the store took; where there is trouble, how many still wait.
        trouble: Why the store has not everything; None where it has.
    """

    folder: Path
    run_id: str | None
    entries: int
    trouble: str | None


def require_recorded(run: TrackedRun, *, wait_seconds: float) -> Sent:
    """Wait until the store has everything that was told about a run; return what it goes by there.

    The journal of a run that has finished is removed then.

    Args:
        run: The run.
        wait_seconds: How long to wait for a store that is away.

    Raises:
        TrackingError: The store is still away, or will not have something; the message says what to do.
    """
    if run.spool is None:
        return Sent(shown(run.tracking_uri), run_id=run.run_id, experiment_id=run.experiment_id)
    journal, deadline = Journal(run.spool), time.monotonic() + wait_seconds
    while True:
        try:
            return _settled(journal, deliver(journal, run.tracking_uri))
        except StoreAwayError as away:
            note_away(journal.folder, away)
            if time.monotonic() >= deadline:
                raise TrackingError(_still_away(journal, away)) from away
        time.sleep(_PAUSE_SECONDS)


def unsent(spool: Path) -> list[Path]:
    """Return the folders of the journals of which the store has not everything, oldest first."""
    journals = sorted(spool.glob(f"*/{JOURNAL}"), key=lambda file: file.stat().st_ctime)
    return [file.parent for file in journals if Sent.read(file.parent).position < file.stat().st_size]


def sync(settings: TrackingSettings, spool: Path) -> Iterator[Synced]:
    """Bring what waits in a spool to the store, run by run, and yield what came of each.

    Args:
        settings: Which store.
        spool: Folder of the journals of all runs.
    """
    for folder in unsent(spool):
        journal: Journal | None = None
        try:
            run, journal = open_run(settings, folder), Journal(folder)
            count = waiting(journal)
            yield Synced(folder, _settled(journal, deliver(journal, run.tracking_uri)).run_id, count, None)
        except CFModelError as trouble:
            left = waiting(journal) if journal and folder.exists() else 0
            yield Synced(folder, Sent.read(folder).run_id, left, str(trouble))


def sync_earlier(settings: TrackingSettings, run: TrackedRun) -> None:
    """Bring what waits of other runs, too, where the store answers; what goes wrong is only logged."""
    if run.spool is None or Sent.read(run.spool).away_since is not None:
        return
    for found in sync(settings, run.spool.parent):
        if found.trouble is None:
            _log.warning("run %s: %s entries that waited in %s are recorded", found.run_id, found.entries, found.folder)
        else:
            _log.warning("%s", found.trouble)


def _settled(journal: Journal, sent: Sent) -> Sent:
    if sent.refused:
        raise TrackingError(
            f"run {sent.run_id}: {len(sent.refused)} of its records were refused and are not there, the first being "
            f"{sent.refused[0]}"
        )
    if journal.status == "FINISHED":
        forget(journal.folder)
    return sent


def _still_away(journal: Journal, away: StoreAwayError) -> str:
    sent = Sent.read(journal.folder)
    since = datetime.fromtimestamp(sent.away_since or time.time()).astimezone().isoformat(" ", "seconds")
    data_dir = journal.folder.parent.parent
    model = data_dir / "models" / journal.folder.name
    safe = f", and the trained model is safe in {model}" if model.is_dir() else ""
    return (
        f"{away} (away since {since}). Nothing is lost: {waiting(journal):,} entries about this run wait in "
        f"{journal.folder}{safe}. When the store is back: cfmodel sync --set runtime.data_dir={data_dir}"
    )
