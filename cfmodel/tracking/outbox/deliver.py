"""Deliver a journal to its store, in order, and record how far the store has taken it in `sent.json` beside it."""

import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from cfmodel.errors import DigestError, StoreAwayError, TrackingError
from cfmodel.system import atomic
from cfmodel.system.addresses import redact
from cfmodel.tracking.outbox.entries import Entry, File
from cfmodel.tracking.outbox.journal import FILES, Journal
from cfmodel.tracking.outbox.mlflow_sender import MlflowSender, create_run, request_batches
from cfmodel.tracking.run import Run

#: Seconds between two attempts to reach a store that is away.
RETRY_SECONDS = 10.0
#: Longest wait for another process that is delivering the same journal; its own requests time out sooner.
_LOCK_SECONDS = 60.0
_NAME = "sent.json"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeliveryProgress:
    """What the store has of a run's journal.

    Attributes:
        store: Address of the store, without passwords.
        position: Where in the journal the first entry begins that the store has not taken, in bytes.
        run_id: The run's id in the store; None until there is one.
        refused: What the store refused, and why, one sentence each.
        away_since: Since when the store is away, in seconds since 1970; None: it is not.
        retry_at: When to try it again, in seconds since 1970.
    """

    store: str
    position: int = 0
    run_id: str | None = None
    experiment_id: str = ""
    name: str = ""
    model_id: str | None = None
    refused: tuple[str, ...] = ()
    away_since: float | None = None
    retry_at: float = 0.0

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the progress of the journal in a folder; a DigestError if it is missing or damaged."""
        file = folder / _NAME
        try:
            fields = json.loads(file.read_text(encoding="utf-8"))
            return cls(**fields | {"refused": tuple(fields["refused"])})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DigestError(f"{file}: cannot be read ({error}); move {folder} away to give up the run") from error

    def write(self, folder: Path) -> Self:
        """Write the progress beside the journal in a folder, and return it."""
        with atomic.file(folder / _NAME) as temporary:
            temporary.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return self

    def update(self, folder: Path, **changes: object) -> Self:
        """Write the progress with some fields changed, and return it."""
        return replace(self, **changes).write(folder)  # type: ignore[arg-type]


def deliver(journal: Journal, uri: str) -> DeliveryProgress:
    """Send what the store has not taken yet to the store at `uri`, and return the progress.

    An entry that the store refuses (a metric with a name it does not allow, say) is noted in
    `DeliveryProgress.refused` and skipped, so that the entries after it are not held up.

    Raises:
        StoreAwayError: The store is away, or another process is delivering; the rest stays in the journal.
        TrackingError: The store no longer has the run.
    """
    try:
        with FileLock(journal.folder / "delivery.lock", timeout=_LOCK_SECONDS):
            return _deliver_alone(journal, uri)
    except Timeout:
        raise StoreAwayError(
            f"{journal.folder}: another process has been sending this for a minute; let it end, then: cfmodel sync"
        ) from None


def deliver_if_due(journal: Journal, uri: str) -> bool:
    """Send what is left unless the store was away a moment ago; return whether the store has everything.

    Logs once that the store is away, and once that it is back.

    Raises:
        TrackingError: The store no longer has the run.
    """
    folder, before = journal.folder, DeliveryProgress.read(journal.folder)
    if before.away_since is not None and time.time() < before.retry_at:
        return False
    try:
        after = deliver(journal, uri)
    except StoreAwayError as away:
        note_away(folder, away)
        return False
    for refusal in after.refused[len(before.refused) :]:
        _log.warning("%s", refusal)
    return True


def note_away(folder: Path, away: StoreAwayError) -> None:
    """Note that the store is away and when to try it again; log the first time."""
    progress = DeliveryProgress.read(folder)
    if progress.away_since is None:
        _log.warning("%s. The run continues; its records are kept in %s until the store is back", away, folder)
    now = time.time()
    progress.update(folder, away_since=progress.away_since or now, retry_at=now + RETRY_SECONDS)


def count_unsent(journal: Journal) -> int:
    """Return how many entries the store has not taken yet."""
    return len(journal.since(DeliveryProgress.read(journal.folder).position))


def _deliver_alone(journal: Journal, uri: str) -> DeliveryProgress:
    folder = journal.folder
    progress = DeliveryProgress.read(folder)
    left = journal.since(progress.position)
    if left:
        journal.fsync()  # the store must not hold what a power failure could take from the journal
        progress = progress if progress.run_id else _create_run(journal, uri, progress)
        sender = MlflowSender(Run(progress.run_id or "", uri, progress.experiment_id, progress.name), folder)
        for batch, end in request_batches(left):
            progress = _send(sender, batch, progress).update(folder, position=end)
            _remove_files(folder, batch)
    if progress.away_since is not None:
        seconds = time.time() - progress.away_since
        _log.warning("%s is back after %.0f s and has everything: %s entries", redact(uri), seconds, f"{len(left):,}")
        progress = progress.update(folder, away_since=None)
    return progress


def _create_run(journal: Journal, uri: str, progress: DeliveryProgress) -> DeliveryProgress:
    """Create the run of a journal that was begun while the store was away."""
    if journal.start is None:
        raise TrackingError(f"{journal.folder}: does not say how the run began; move it away to give up the run")
    run = create_run(uri, journal.start, local_id=journal.folder.name)
    return progress.update(journal.folder, run_id=run.run_id, experiment_id=run.experiment_id, name=run.name)


def _send(sender: MlflowSender, batch: Sequence[Entry], progress: DeliveryProgress) -> DeliveryProgress:
    """Send a batch; if the store refuses it, send its entries one by one and note the refused ones."""
    try:
        model_id = sender.send(batch)
    except StoreAwayError:
        raise
    except TrackingError as refusal:
        if sender.is_gone():
            raise TrackingError(
                f"{refusal} (the store no longer has run {sender.run.run_id}; restore it there, or move "
                f"{sender.folder} away to give up its records)"
            ) from refusal
        if len(batch) > 1:
            for entry in batch:
                progress = _send(sender, [entry], progress)
            return progress
        return progress.update(sender.folder, refused=(*progress.refused, f"{_label(batch[0])}: {refusal}"))
    return progress if model_id is None else progress.update(sender.folder, model_id=model_id)


def _label(entry: Entry) -> str:
    name = getattr(entry, "key", None) or getattr(entry, "path", None) or ""
    return f"{type(entry).__name__.lower()} {name}".rstrip()


def _remove_files(folder: Path, batch: Sequence[Entry]) -> None:
    for entry in batch:
        if isinstance(entry, File):
            shutil.rmtree((folder / FILES / entry.kept).parent, ignore_errors=True)
