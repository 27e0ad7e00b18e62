"""The journal of a run: everything told to its tracking store, on this disk before it is sent.

    data/spool/<run>/journal.jsonl   every entry, in order, a check sum before each
    data/spool/<run>/files/          artifacts that wait to be sent
    data/spool/<run>/sent.json       how far the store has taken them, and the run's id there

    journal = Journal(journal_folder(data_dir, run_id))
    journal.append([Point("val/rmse", 0.91, step=3, milliseconds=...)])
    journal.has("val/rmse", 3)   # True, and so in the next process
    journal.fsync()              # before a checkpoint that stands on it is written

A point whose key and step the journal holds is not taken again. That is what makes a resumed
training exact: it goes on from its last checkpoint, says again what it said before, and each point
is recorded once.
"""

import os
from collections import ChainMap
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from filelock import FileLock

from cfmodel.errors import DigestError
from cfmodel.tracking.outbox.entries import (
    Became,
    Entry,
    File,
    Param,
    Start,
    Status,
    Tag,
    as_line,
    of_line,
    says_nothing_new,
    subject_of,
)
from cfmodel.tracking.outbox.training_metrics import Point

JOURNAL, FILES, SENT = "journal.jsonl", "files", "sent.json"


def spool_folder(data_dir: Path) -> Path:
    """Return the folder that the journals of all runs are kept in."""
    return data_dir / "spool"


def journal_folder(data_dir: Path, run_id: str) -> Path:
    """Return the folder of one run's journal."""
    return spool_folder(data_dir) / run_id


class Journal:
    """A run's entries in a file that only grows; several threads and processes may have it open.

    What is appended survives the end of the process at once, and a power failure from `fsync` on. A
    last line that either cut off is dropped when the journal is opened.

    Args:
        folder: The run's own folder; made where it is missing.

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
        self._held: dict[Hashable, Entry] = {}
        self._size = 0
        with self._up_to_date():
            self._drop_what_was_cut_off()

    @property
    def params(self) -> dict[str, str]:
        """Every parameter."""
        return {entry.key: entry.value for entry in self._held.values() if isinstance(entry, Param)}

    @property
    def tags(self) -> dict[str, str]:
        """The newest value of every tag."""
        begun = dict(self.start.tags) if self.start else {}
        return begun | {entry.key: entry.value for entry in self._held.values() if isinstance(entry, Tag)}

    @property
    def metrics(self) -> dict[str, float]:
        """The value of every metric at its highest step."""
        points = sorted(
            (entry for entry in self._held.values() if isinstance(entry, Point)), key=lambda each: each.step
        )
        return {point.key: point.value for point in points}

    @property
    def start(self) -> Start | None:
        """How the run began; None where this journal was opened for a run that was there before."""
        found = self._held.get("start")
        return found if isinstance(found, Start) else None

    @property
    def status(self) -> Status | None:
        """The status the run was last given here; None where it was given none."""
        found = self._held.get("became")
        return found.status if isinstance(found, Became) else None

    def has(self, key: str, step: int) -> bool:
        """Tell whether the journal holds a point of a metric at a step."""
        return ("point", key, step) in self._held

    def has_file(self, path: str, sha256: str) -> bool:
        """Tell whether the journal holds an artifact, its newest content being this."""
        found = self._held.get(("file", path))
        return isinstance(found, File) and found.sha256 == sha256

    def history(self, key: str) -> list[Point]:
        """Return the points of a metric by rising step."""
        found = [entry for entry in self._held.values() if isinstance(entry, Point) and entry.key == key]
        return sorted(found, key=lambda point: point.step)

    def append(self, entries: Iterable[Entry]) -> int:
        """Add, in order, what says something new; return how many entries that were.

        A point whose key and step are held is dropped, and so is whatever would change nothing.

        Raises:
            TrackingError: A parameter would get another value; nothing is added then.
            OSError: The disk does not take it; nothing is added then.
        """
        with self._up_to_date():
            new: ChainMap[Hashable, Entry] = ChainMap({}, self._held)
            lines: list[tuple[Entry, bytes]] = []
            for entry in entries:
                subject = subject_of(entry)
                if not says_nothing_new(entry, new.get(subject)):
                    new[subject] = entry
                    lines.append((entry, as_line(entry)))
            self._write(b"".join(line for _, line in lines))
            for entry, line in lines:
                self._take(entry, len(line))
            return len(lines)

    def fsync(self) -> None:
        """Put what was appended where a power failure does not reach it."""
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def since(self, position: int) -> Sequence[tuple[Entry, int]]:
        """Return the entries after a position, each with the position it ends at."""
        with self._up_to_date():
            return [(entry, end) for entry, end in self._entries if end > position]

    @contextmanager
    def _up_to_date(self) -> Iterator[None]:
        """Be the only one at the file, and know what others have appended."""
        with self._among_threads, self._among_processes:
            self._path.touch()
            self._catch_up()
            yield

    def _catch_up(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._size)
            lines = file.read().splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            try:
                self._take(of_line(line), len(line))
            except DigestError:
                if number < len(lines):
                    raise DigestError(
                        f"{self._path}: damaged at byte {self._size:,}, and more follows; "
                        "move the folder away to give the rest up"
                    ) from None

    def _drop_what_was_cut_off(self) -> None:
        os.truncate(self._path, self._size)

    def _take(self, entry: Entry, length: int) -> None:
        self._size += length
        self._entries.append((entry, self._size))
        self._held[subject_of(entry)] = entry

    def _write(self, lines: bytes) -> None:
        """Append whole lines; where the disk takes a part of them alone, take that back."""
        try:
            with self._path.open("ab") as file:
                file.write(lines)
        except OSError:
            os.truncate(self._path, self._size)
            raise
