"""Log entries and files to a run's store, through the run's journal."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from uuid import uuid4

from cfmodel.errors import DiskFullError, TrackingError
from cfmodel.system import atomic
from cfmodel.system.addresses import redact
from cfmodel.system.digests import sha256_of_file
from cfmodel.tracking.outbox.deliver import DeliveryProgress, deliver, deliver_if_due
from cfmodel.tracking.outbox.entries import Entry, File
from cfmodel.tracking.outbox.journal import FILES, Journal
from cfmodel.tracking.run import TrackedRun


def log_entries(run: TrackedRun, entries: Iterable[Entry]) -> DeliveryProgress:
    """Add entries to a run's journal, send what the store has not taken yet, and return the progress.

    A store that is away is no error for a run with a journal.

    Raises:
        StoreAwayError: The store is away, and the run has no journal.
        TrackingError: The store refuses an entry, or the disk cannot be written.
    """
    return _log(run, lambda _: entries)


def log_files(run: TrackedRun, files: Mapping[str, Path | str | bytes]) -> DeliveryProgress:
    """Log artifacts, as `log_entries` does: for each path among the run's artifacts a file, or the content of one."""

    def new_files(journal: Journal) -> Iterator[File]:
        for path, content in files.items():
            digest = _digest(content)
            if not journal.has_file(path, digest):
                yield File(path, digest, _keep(journal.folder, path, content))

    return _log(run, new_files)


@contextmanager
def journal_of(run: TrackedRun) -> Iterator[Journal]:
    """Yield the journal of a run; one without a journal gets one that is removed after the block."""
    if run.journal_folder is not None:
        yield Journal(run.journal_folder)
        return
    with tempfile.TemporaryDirectory(prefix="cfmodel-") as temporary:
        folder = Path(temporary)
        DeliveryProgress(redact(run.tracking_uri), run_id=run.run_id, experiment_id=run.experiment_id).write(folder)
        yield Journal(folder)


def _log(run: TrackedRun, entries: Callable[[Journal], Iterable[Entry]]) -> DeliveryProgress:
    try:
        with journal_of(run) as journal:
            journal.append(entries(journal))
            if run.journal_folder is not None:
                deliver_if_due(journal, run.tracking_uri)
                return DeliveryProgress.read(journal.folder)
            progress = deliver(journal, run.tracking_uri)
    except DiskFullError as error:
        raise TrackingError(str(error)) from error
    except OSError as error:
        raise TrackingError(
            f"{error.filename or run.journal_folder or tempfile.gettempdir()}: {error.strerror or error}, so nothing "
            "more can be recorded; earlier records are whole, free some space and run again"
        ) from error
    if progress.refused:
        raise TrackingError(progress.refused[0])
    return progress


def _digest(content: Path | str | bytes) -> str:
    if isinstance(content, Path):
        return sha256_of_file(content)
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def _keep(folder: Path, path: str, content: Path | str | bytes) -> str:
    """Keep a file as it is now below `files/`, until it is sent; return its name there."""
    name = f"{uuid4().hex}/{PurePosixPath(path).name}"
    kept = folder / FILES / name
    kept.parent.mkdir(parents=True)
    try:
        if isinstance(content, Path):
            _link_or_copy(content, kept)
        else:
            kept.write_bytes(content.encode() if isinstance(content, str) else content)
        atomic.fsync(kept)
    except OSError:
        shutil.rmtree(kept.parent, ignore_errors=True)
        raise
    return name


def _link_or_copy(source: Path, target: Path) -> None:
    """Link a file, which its writer renames into place and never changes; copy it to another disk."""
    with suppress(OSError):
        target.hardlink_to(source)
        return
    shutil.copyfile(source, target)
