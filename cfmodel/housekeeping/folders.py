"""The folders below the folder for data, kind by kind, and why each is needed."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from cfmodel.housekeeping.policy import Item


@dataclass(frozen=True)
class Needs:
    """The runs, data sets and splits that must stay, with the reasons.

    Attributes:
        runs: Reason by run id.
        digests: Reason by the digest of a data set or a split.
        known_runs: Every run of the tracking store; folders of other runs always stay.
    """

    runs: Mapping[str, str]
    digests: Mapping[str, str]
    known_runs: frozenset[str]


@dataclass(frozen=True)
class FolderKind:
    """A kind of folders, such as models: `folder` below the folder for data holds one for each model.

    Attributes:
        name: Its name in the settings: `keep.<name>` says how many stay.
        folder: Name of the folder that holds them.
        needed_by: Returns why a folder is needed, or None.
    """

    name: str
    folder: str
    needed_by: Callable[[Path, Needs], str | None]


def items_of(kind: FolderKind, data_dir: Path, needs: Needs) -> list[Item]:
    """Return all items of a kind."""
    return [_item(kind, path, needs) for path in _folders(data_dir / kind.folder)]


def _item(kind: FolderKind, path: Path, needs: Needs) -> Item:
    # Adam's state, say, lies beside the model's folder, which holds only what is served.
    beside = tuple(file for file in sorted(path.parent.glob(f"{path.name}-*")) if file.is_file())
    size = _size(path) + sum(file.stat().st_size for file in beside)
    return Item(kind.name, path.name, last_used(path), kind.needed_by(path, needs), size, path, beside)


def last_used(folder: Path) -> datetime:
    """Return when a folder, or anything in it but locks, was last written."""
    # To test whether a lock is held touches it.
    within = (path for path in (folder, *folder.rglob("*")) if path.suffix != ".lock")
    return datetime.fromtimestamp(max(path.lstat().st_mtime for path in within), UTC)


def _of_manifest(key: str) -> Callable[[Path, Needs], str | None]:
    """Return a function that looks up why the digest in a folder's manifest is needed."""

    def needed_by(path: Path, needs: Needs) -> str | None:
        try:
            manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
            return needs.digests.get(manifest[key]["digest"])
        except (OSError, ValueError, KeyError, TypeError):
            return None  # incomplete: the next run writes it again

    return needed_by


def _of_run(path: Path, needs: Needs) -> str | None:
    if _is_locked(path):
        return "a process is at work on it"
    if path.name not in needs.known_runs:
        return "its run is not in this store"
    return needs.runs.get(path.name)


def _of_journal(path: Path, needs: Needs) -> str | None:
    return "the store has not taken all its records; run `cfmodel sync`" if _is_unsent(path) else _of_run(path, needs)


def _of_pointer(path: Path, needs: Needs) -> str | None:
    latest = path.parent / "latest"
    named = latest.readlink().name if latest.is_symlink() else _text(latest)
    return "latest points at it" if named == path.name else needs.runs.get(path.name)


#: All kinds, in the order of the table.
KINDS = (
    FolderKind("datasets", "ingested", _of_manifest("dataset")),
    FolderKind("splits", "splits", _of_manifest("split")),
    FolderKind("models", "models", _of_run),
    FolderKind("gradients", "gradients", _of_run),
    FolderKind("checkpoints", "checkpoints", _of_run),
    FolderKind("spools", "spool", _of_journal),
    FolderKind("recommendations", "recommendations", _of_pointer),
)


def _folders(parent: Path) -> Iterator[Path]:
    if parent.is_dir():
        found = (path for path in parent.iterdir() if path.is_dir() and not path.is_symlink())
        yield from sorted(path for path in found if not path.name.startswith("."))


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _is_locked(folder: Path) -> bool:
    """Tell whether a process holds a lock in a folder, as a process does that works on a run."""
    return any(_is_held(lock) for lock in folder.glob("*.lock"))


def _is_held(lock: Path) -> bool:
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


def _is_unsent(folder: Path) -> bool:
    journal = folder / "journal.jsonl"
    try:
        sent = json.loads((folder / "sent.json").read_text(encoding="utf-8"))
        return int(sent["position"]) < journal.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return journal.exists()


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        return None
