"""Tell a run's store something, through the run's journal where it has one."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from uuid import uuid4

from cfmodel.errors import DiskFullError, TrackingError
from cfmodel.system import atomic
from cfmodel.system.addresses import shown
from cfmodel.system.digests import sha256_of_file
from cfmodel.tracking.outbox.deliver import deliver, deliver_if_due
from cfmodel.tracking.outbox.delivery_progress import Sent
from cfmodel.tracking.outbox.entries import Entry, File
from cfmodel.tracking.outbox.journal import FILES, Journal
from cfmodel.tracking.run import TrackedRun


def tell(run: TrackedRun, entries: Iterable[Entry]) -> Sent:
    """Add entries to a run's journal, send what the store has not taken yet, and return what it has.

    A store that is away is no error for a run that has a journal.

    Raises:
        StoreAwayError: The store is away, and the run has no journal.
        TrackingError: The store will not have something, or the disk does not take it.
    """
    return _tell(run, lambda _: entries)


def tell_files(run: TrackedRun, files: Mapping[str, Path | str | bytes]) -> Sent:
    """Record artifacts: by path among the run's artifacts a file, or the content of one.

    Raises:
        StoreAwayError: The store is away, and the run has no journal.
        TrackingError: The store will not have something, or the disk does not take it.
    """

    def kept(journal: Journal) -> Iterator[File]:
        for path, content in files.items():
            digest = _digest(content)
            if not journal.has_file(path, digest):
                yield File(path, digest, _keep(journal.folder, path, content))

    return _tell(run, kept)


def _tell(run: TrackedRun, entries: Callable[[Journal], Iterable[Entry]]) -> Sent:
    try:
        with _journal_of(run) as journal:
            journal.append(entries(journal))
            if run.spool is not None:
                deliver_if_due(journal, run.tracking_uri)
                return Sent.read(journal.folder)
            sent = deliver(journal, run.tracking_uri)
    except DiskFullError as error:
        raise TrackingError(str(error)) from error
    except OSError as error:
        raise TrackingError(
            f"{error.filename or run.spool or tempfile.gettempdir()}: {error.strerror or error}, so that nothing more "
            "can be recorded; what was recorded before is whole, free some space and run again"
        ) from error
    if sent.refused:
        raise TrackingError(sent.refused[0])
    return sent


@contextmanager
def passing_journal(run: TrackedRun) -> Iterator[Journal]:
    """Yield a journal of a run that is gone when the block ends."""
    with tempfile.TemporaryDirectory(prefix="cfmodel-") as temporary:
        folder = Path(temporary)
        Sent(shown(run.tracking_uri), run_id=run.run_id, experiment_id=run.experiment_id).write(folder)
        yield Journal(folder)


@contextmanager
def _journal_of(run: TrackedRun) -> Iterator[Journal]:
    if run.spool is not None:
        yield Journal(run.spool)
        return
    with passing_journal(run) as journal:
        yield journal


def _digest(content: Path | str | bytes) -> str:
    if isinstance(content, Path):
        return sha256_of_file(content)
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def _keep(folder: Path, path: str, content: Path | str | bytes) -> str:
    """Keep a file, as it is now, below `files/` until it is sent; return its name there."""
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
    """Take a file that its writer gives its name when it is whole, and never changes then."""
    with suppress(OSError):
        target.hardlink_to(source)
        return
    shutil.copyfile(source, target)
