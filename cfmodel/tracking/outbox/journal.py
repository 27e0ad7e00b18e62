"""The journal of a run: all that is logged about it, written to this disk before it is sent to the store.

    data/spool/<run>/journal.jsonl   every entry, in order, each with a check sum
    data/spool/<run>/files/          artifacts not sent yet
    data/spool/<run>/sent.json       what the store has of it, and the run's id there

    journal = Journal(journal_folder(data_dir, run_id))
    journal.append([Point("val/rmse", 0.91, step=3, milliseconds=...)])
    journal.has("val/rmse", 3)   # True, also in the next process
    journal.fsync()              # before a checkpoint that depends on it is written

The journal holds one point per key and step, and drops repeats. That makes resuming exact: a training
that resumes from its last checkpoint repeats some points, and each is recorded once.
"""

import os
from collections import ChainMap
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from filelock import FileLock

from cfmodel.errors import DigestError
from cfmodel.system import atomic
from cfmodel.tracking.outbox.entries import (
    Became,
    Entry,
    File,
    Param,
    Point,
    Start,
    Status,
    Tag,
    from_line,
    is_redundant,
    subject_of,
    to_line,
)

JOURNAL, FILES = "journal.jsonl", "files"


def journals_folder(data_dir: Path) -> Path:
    """Return the folder that holds the journals of all runs."""
    return data_dir / "spool"


def journal_folder(data_dir: Path, run_id: str) -> Path:
    """Return the folder of one run's journal."""
    return journals_folder(data_dir) / run_id


class Journal:
    """A run's entries in an append-only file that several threads and processes may have open.

    Appended entries survive the end of the process at once, and a power failure after `fsync`. A last
    line that either cut off is dropped when the journal is opened.

    Args:
        folder: The run's own folder, created if missing.

    Raises:
        DigestError: A line other than the last is damaged.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._path = folder / JOURNAL
        self._among_threads = RLock()
        self._among_processes = FileLock(folder / "journal.lock")
        self._entries: list[tuple[Entry, int]] = []
        self._newest: dict[Hashable, Entry] = {}
        self._size = 0
        with self._locked():
            os.truncate(self._path, self._size)  # an incomplete last line

    @property
    def params(self) -> dict[str, str]:
        """Every parameter."""
        return {entry.key: entry.value for entry in self._newest.values() if isinstance(entry, Param)}

    @property
    def tags(self) -> dict[str, str]:
        """The newest value of every tag."""
        first = dict(self.start.tags) if self.start else {}
        return first | {entry.key: entry.value for entry in self._newest.values() if isinstance(entry, Tag)}

    @property
    def metrics(self) -> dict[str, float]:
        """The value of every metric at its highest step."""
        points = (entry for entry in self._newest.values() if isinstance(entry, Point))
        return {point.key: point.value for point in sorted(points, key=lambda point: point.step)}

    @property
    def start(self) -> Start | None:
        """How the run began; None if this journal was opened for a run that existed before."""
        found = self._newest.get("start")
        return found if isinstance(found, Start) else None

    @property
    def status(self) -> Status | None:
        """The last status logged here; None if none was."""
        found = self._newest.get("became")
        return found.status if isinstance(found, Became) else None

    def has(self, key: str, step: int) -> bool:
        """Tell whether the journal holds a point of a metric at a step."""
        return ("point", key, step) in self._newest

    def has_file(self, path: str, sha256: str) -> bool:
        """Tell whether an artifact's newest content has this digest."""
        found = self._newest.get(("file", path))
        return isinstance(found, File) and found.sha256 == sha256

    def history(self, key: str) -> list[Point]:
        """Return the points of a metric by rising step."""
        found = [entry for entry in self._newest.values() if isinstance(entry, Point) and entry.key == key]
        return sorted(found, key=lambda point: point.step)

    def append(self, entries: Iterable[Entry]) -> int:
        """Add entries in order, without those that would change nothing; return how many were added.

        A point is dropped if the journal holds its key and step.

        Raises:
            TrackingError: A parameter would get another value; nothing is added.
            OSError: The disk cannot be written; nothing is added.
        """
        with self._locked():
            newest: ChainMap[Hashable, Entry] = ChainMap({}, self._newest)
            lines: list[tuple[Entry, bytes]] = []
            for entry in entries:
                subject = subject_of(entry)
                if not is_redundant(entry, newest.get(subject)):
                    newest[subject] = entry
                    lines.append((entry, to_line(entry)))
            self._write(b"".join(line for _, line in lines))
            for entry, line in lines:
                self._remember(entry, len(line))
            return len(lines)

    def fsync(self) -> None:
        """Flush appended entries to disk, so that they survive a power failure."""
        atomic.fsync(self._path)

    def since(self, position: int) -> Sequence[tuple[Entry, int]]:
        """Return the entries after a position, each with its end position in bytes."""
        with self._locked():
            return [(entry, end) for entry, end in self._entries if end > position]

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Have the file alone, with the entries that others appended read."""
        with self._among_threads, self._among_processes:
            self._path.touch()
            self._read_new_lines()
            yield

    def _read_new_lines(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._size)
            lines = file.read().splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            try:
                self._remember(from_line(line), len(line))
            except DigestError:
                if number < len(lines):
                    raise DigestError(
                        f"{self._path}: damaged at byte {self._size:,}, before its last line; "
                        "move the folder away to give up its records"
                    ) from None

    def _remember(self, entry: Entry, length: int) -> None:
        self._size += length
        self._entries.append((entry, self._size))
        self._newest[subject_of(entry)] = entry

    def _write(self, lines: bytes) -> None:
        """Append whole lines; take back what was written if the disk takes only a part."""
        try:
            with self._path.open("ab") as file:
                file.write(lines)
        except OSError:
            os.truncate(self._path, self._size)
            raise
