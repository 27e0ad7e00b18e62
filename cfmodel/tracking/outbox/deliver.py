"""A journal taken to its store: in order, each entry until the store has it, and on past what it will not have."""

import logging
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from cfmodel.errors import StoreAwayError, TrackingError
from cfmodel.system.addresses import shown
from cfmodel.tracking.outbox.delivery_progress import Sent
from cfmodel.tracking.outbox.entries import Entry, File
from cfmodel.tracking.outbox.journal import FILES, Journal
from cfmodel.tracking.outbox.mlflow_sender import Sender, batches, create_run
from cfmodel.tracking.run import Run

#: How long a store that is away is left alone.
RETRY_SECONDS = 10.0
#: How long to wait for another who is delivering the same journal: one that hangs gives up sooner.
_TURN_SECONDS = 60.0

_log = logging.getLogger(__name__)


def deliver(journal: Journal, uri: str) -> Sent:
    """Send what the store has not taken yet.

    What the store will not have (a metric's name it does not allow, say) is noted in `Sent.refused`
    and passed over, so that nothing waits behind it.

    Args:
        journal: The run's journal, with its `sent.json`.
        uri: Address of the store.

    Returns:
        How far the store has taken it: all of it.

    Raises:
        StoreAwayError: The store is away, or somebody else is at it; what is left stays in the journal.
        TrackingError: The store no longer has the run.
    """
    try:
        with FileLock(journal.folder / "delivery.lock", timeout=_TURN_SECONDS):
            return _delivered(journal, uri)
    except Timeout:
        raise StoreAwayError(f"{journal.folder}: another process has been sending this for a minute") from None


def deliver_if_due(journal: Journal, uri: str) -> bool:
    """Send what is left, unless the store was found away a moment ago; return whether all is there.

    Going away and coming back are each said once in the log.

    Raises:
        TrackingError: The store no longer has the run.
    """
    folder, before = journal.folder, Sent.read(journal.folder)
    if before.away_since is not None and time.time() < before.retry_at:
        return False
    try:
        after = deliver(journal, uri)
    except StoreAwayError as away:
        note_away(folder, away)
        return False
    for refused in after.refused[len(before.refused) :]:
        _log.warning("%s", refused)
    return True


def note_away(folder: Path, away: StoreAwayError) -> None:
    """Note that the store is away, and when to try it again; say so once."""
    sent = Sent.read(folder)
    if sent.away_since is None:
        _log.warning("%s. The run goes on; what is recorded is kept in %s until the store is back", away, folder)
    now = time.time()
    sent.but(folder, away_since=sent.away_since or now, retry_at=now + RETRY_SECONDS)


def waiting(journal: Journal) -> int:
    """Return how many entries the store has not taken yet."""
    return len(journal.since(Sent.read(journal.folder).position))


def forget(folder: Path) -> None:
    """Remove the journal of a run that has ended and is with the store as a whole."""
    shutil.rmtree(folder, ignore_errors=True)


def _delivered(journal: Journal, uri: str) -> Sent:
    folder = journal.folder
    sent = Sent.read(folder)
    left = journal.since(sent.position)
    if left:
        journal.fsync()  # the store must not know what a power failure could take from the journal
        sent = sent if sent.run_id else _begun(journal, uri, sent)
        sender = Sender(Run(sent.run_id or "", uri, sent.experiment_id, sent.name), folder)
        for batch, end in batches(left):
            sent = _take(sender, batch, sent).but(folder, position=end)
            _remove_files(folder, batch)
    if sent.away_since is not None:
        seconds = time.time() - sent.away_since
        _log.warning("%s is back after %.0f s and has everything: %s entries", shown(uri), seconds, f"{len(left):,}")
        sent = sent.but(folder, away_since=None)
    return sent


def _begun(journal: Journal, uri: str, sent: Sent) -> Sent:
    """Create the run of a journal that was begun while the store was away."""
    if journal.start is None:
        raise TrackingError(f"{journal.folder}: says nothing of how the run began; move it away to give it up")
    run = create_run(uri, journal.start, local_id=journal.folder.name)
    return sent.but(journal.folder, run_id=run.run_id, experiment_id=run.experiment_id, name=run.name)


def _take(sender: Sender, batch: Sequence[Entry], sent: Sent) -> Sent:
    """Send a batch; where the store will not have it, its entries one by one, and note which it refuses."""
    try:
        model_id = sender.send(batch)
    except StoreAwayError:
        raise
    except TrackingError as refusal:
        if sender.is_gone():
            raise TrackingError(
                f"{refusal} (the store no longer has run {sender.run.run_id}; restore it there, or move "
                f"{sender.folder} away to give the records up)"
            ) from refusal
        if len(batch) > 1:
            for entry in batch:
                sent = _take(sender, [entry], sent)
            return sent
        return sent.but(sender.folder, refused=(*sent.refused, f"{_named(batch[0])}: {refusal}"))
    return sent if model_id is None else sent.but(sender.folder, model_id=model_id)


def _named(entry: Entry) -> str:
    name = getattr(entry, "key", None) or getattr(entry, "path", None) or ""
    return f"{type(entry).__name__.lower()} {name}".rstrip()


def _remove_files(folder: Path, batch: Sequence[Entry]) -> None:
    for entry in batch:
        if isinstance(entry, File):
            shutil.rmtree((folder / FILES / entry.kept).parent, ignore_errors=True)
