"""Send records that wait on this disk to the store: at the end of a run, and by `cfmodel sync`."""

import logging
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cfmodel.config import TrackingSettings
from cfmodel.errors import CFModelError, StoreAwayError, TrackingError
from cfmodel.system.addresses import redact
from cfmodel.tracking.outbox.deliver import DeliveryProgress, count_unsent, deliver, note_away
from cfmodel.tracking.outbox.journal import JOURNAL, Journal
from cfmodel.tracking.run import TrackedRun
from cfmodel.tracking.runs.lifecycle import open_run

_PAUSE_SECONDS = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Synced:
    """The result of sending one run's waiting records.

    Attributes:
        folder: The folder of its journal.
        run_id: Its id in the store; None if it has none yet.
        entries: How many entries the store took; after an error, how many still wait.
        trouble: Why the store does not have everything; None if it does.
    """

    folder: Path
    run_id: str | None
    entries: int
    trouble: str | None


def require_recorded(run: TrackedRun, *, wait_seconds: float) -> DeliveryProgress:
    """Wait up to `wait_seconds` until the store has all that was logged about a run; return its ids there.

    Then the journal of a finished run is removed.

    Raises:
        TrackingError: The store is still away or refused a record; the message says what to do.
    """
    if run.journal_folder is None:
        return DeliveryProgress(redact(run.tracking_uri), run_id=run.run_id, experiment_id=run.experiment_id)
    journal, deadline = Journal(run.journal_folder), time.monotonic() + wait_seconds
    while True:
        try:
            return _settle(journal, deliver(journal, run.tracking_uri))
        except StoreAwayError as away:
            note_away(journal.folder, away)
            if time.monotonic() >= deadline:
                raise TrackingError(_still_away(journal, away)) from away
        time.sleep(_PAUSE_SECONDS)


def sync(settings: TrackingSettings, journals: Path) -> Iterator[Synced]:
    """Send the waiting records of all runs to the store, and yield the result of each run."""
    for folder in _unsent(journals):
        journal: Journal | None = None
        try:
            run, journal = open_run(settings, folder), Journal(folder)
            count = count_unsent(journal)
            yield Synced(folder, _settle(journal, deliver(journal, run.tracking_uri)).run_id, count, None)
        except CFModelError as trouble:
            left = count_unsent(journal) if journal and folder.exists() else 0
            yield Synced(folder, DeliveryProgress.read(folder).run_id, left, str(trouble))


def sync_earlier(settings: TrackingSettings, run: TrackedRun) -> None:
    """Send the waiting records of other runs, too, if the store answers; errors are only logged."""
    if run.journal_folder is None or DeliveryProgress.read(run.journal_folder).away_since is not None:
        return
    for found in sync(settings, run.journal_folder.parent):
        if found.trouble is None:
            _log.warning("run %s: %s entries that waited in %s are recorded", found.run_id, found.entries, found.folder)
        else:
            _log.warning("%s", found.trouble)


def _unsent(journals: Path) -> list[Path]:
    """Return the folders of the journals that the store does not have whole, oldest first."""
    found = sorted(journals.glob(f"*/{JOURNAL}"), key=lambda file: file.stat().st_ctime)
    return [file.parent for file in found if DeliveryProgress.read(file.parent).position < file.stat().st_size]


def _settle(journal: Journal, progress: DeliveryProgress) -> DeliveryProgress:
    """Require that no record was refused, and remove the journal of a finished run."""
    if progress.refused:
        raise TrackingError(
            f"run {progress.run_id}: {len(progress.refused)} of its records were refused and are missing, the first "
            f"being {progress.refused[0]}; all others are in the store, and the run can be used without these"
        )
    if journal.status == "FINISHED":
        shutil.rmtree(journal.folder, ignore_errors=True)
    return progress


def _still_away(journal: Journal, away: StoreAwayError) -> str:
    progress = DeliveryProgress.read(journal.folder)
    since = datetime.fromtimestamp(progress.away_since or time.time()).astimezone().isoformat(" ", "seconds")
    data_dir = journal.folder.parent.parent
    model = data_dir / "models" / journal.folder.name
    safe = f", and the trained model is safe in {model}" if model.is_dir() else ""
    return (
        f"{away} (away since {since}). Nothing is lost: {count_unsent(journal):,} entries about this run wait in "
        f"{journal.folder}{safe}. When the store is back: cfmodel sync --set runtime.data_dir={data_dir}"
    )
