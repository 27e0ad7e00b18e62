"""What lies below the folder for data, kind by kind."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from cfmodel.housekeeping.policy import Item


@dataclass(frozen=True)
class Needs:
    """What must stay, each with the reason.

    Attributes:
        runs: By the id of a run, what its folders are kept for.
        digests: By the digest of a data set or a split, what it is kept for.
        known_runs: Every run the tracking store knows: folders of others are not for us to judge.
    """

    runs: Mapping[str, str]
    digests: Mapping[str, str]
    known_runs: frozenset[str]


@dataclass(frozen=True)
class Kind:
    """Folders of one kind: `folder` below the folder for data holds one each.

    Attributes:
        name: What the settings call it: `keep.<name>` says how many stay.
        folder: Where they lie.
        needed_by: Says why one of them is needed, or None.
    """

    name: str
    folder: str
    needed_by: Callable[[Path, Needs], str | None]


def items_of(kind: Kind, data_dir: Path, needs: Needs) -> list[Item]:
    """Return everything there is of a kind."""
    return [_item(kind, path, needs) for path in _folders(data_dir / kind.folder)]


def _item(kind: Kind, path: Path, needs: Needs) -> Item:
    # Adam's memory of a model, say, lies beside the model's folder, which holds what is served and no more.
    beside = tuple(file for file in sorted(path.parent.glob(f"{path.name}-*")) if file.is_file())
    size = _size(path) + sum(file.stat().st_size for file in beside)
    return Item(kind.name, path.name, last_used(path), kind.needed_by(path, needs), size, path, beside)


def last_used(folder: Path) -> datetime:
    """Return when a folder, or anything in it but locks, was last written or touched."""
    # Looking whether a lock is held touches it.
    within = (path for path in (folder, *folder.rglob("*")) if path.suffix != ".lock")
    return datetime.fromtimestamp(max(path.lstat().st_mtime for path in within), UTC)


def _of_manifest(key: str) -> Callable[[Path, Needs], str | None]:
    """Return what looks the digest up under which a folder's manifest names what is in it."""

    def needed_by(path: Path, needs: Needs) -> str | None:
        try:
            manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
            return needs.digests.get(manifest[key]["digest"])
        except (OSError, ValueError, KeyError, TypeError):
            return None  # not whole: the next run makes it again

    return needed_by


def _of_run(path: Path, needs: Needs) -> str | None:
    if _is_locked(path):
        return "a process is at work on it"
    if path.name not in needs.known_runs:
        return "a run that this store does not know"
    return needs.runs.get(path.name)


def _of_journal(path: Path, needs: Needs) -> str | None:
    """Journals hold what the store may not have yet."""
    return "records that the store has not taken; run `cfmodel sync`" if _waits(path) else _of_run(path, needs)


def _of_pointer(path: Path, needs: Needs) -> str | None:
    latest = path.parent / "latest"
    named = latest.readlink().name if latest.is_symlink() else _text(latest)
    return "latest points at it" if named == path.name else needs.runs.get(path.name)


#: Every kind, in the order they are shown.
KINDS = (
    Kind("datasets", "ingested", _of_manifest("dataset")),
    Kind("splits", "splits", _of_manifest("split")),
    Kind("models", "models", _of_run),
    Kind("gradients", "gradients", _of_run),
    Kind("checkpoints", "checkpoints", _of_run),
    Kind("spools", "spool", _of_journal),
    Kind("recommendations", "recommendations", _of_pointer),
)


def _folders(parent: Path) -> Iterator[Path]:
    if parent.is_dir():
        found = (path for path in parent.iterdir() if path.is_dir() and not path.is_symlink())
        yield from sorted(path for path in found if not path.name.startswith("."))


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _is_locked(folder: Path) -> bool:
    """Tell whether a process holds one of a folder's locks, as one does that is at work on a run."""
    return any(_is_held(lock) for lock in folder.glob("*.lock"))


def _is_held(lock: Path) -> bool:
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


def _waits(folder: Path) -> bool:
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
