"""Folders that appear whole or not at all."""

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = ".tmp-"


@contextmanager
def folder(final: Path, *, replace: bool = False) -> Iterator[Path]:
    """Write a folder under a temporary sibling name, then give it its own.

    The temporary folder is emptied to disk (fsync) before the rename, so that after a crash the
    final name holds everything or does not exist. What dead processes left behind is swept.

    Args:
        final: The folder's own name.
        replace: Whether an existing folder of that name gives way; else the existing one is kept
            and what was written is thrown away, since whoever wrote it first wrote the same.

    Yields:
        The temporary folder to write to.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    sweep(final.parent)
    temporary = final.parent / f"{_PREFIX}{os.getpid()}-{uuid.uuid4().hex[:8]}-{final.name}"
    temporary.mkdir()
    try:
        yield temporary
        _flush(temporary)
        _give_name(temporary, final, replace=replace)
        _fsync(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Remove the temporary folders below one that belong to processes no longer alive."""
    for leftover in parent.glob(f"{_PREFIX}*"):
        process = leftover.name.removeprefix(_PREFIX).split("-")[0]
        if process.isdecimal() and not _is_alive(int(process)):
            shutil.rmtree(leftover, ignore_errors=True)


def _give_name(temporary: Path, final: Path, *, replace: bool) -> None:
    if final.exists() and not replace:
        return
    if final.exists():
        # A folder cannot be renamed onto a full one: the old one steps aside first.
        aside = final.parent / f"{temporary.name}-old"
        final.rename(aside)
        temporary.rename(final)
        shutil.rmtree(aside, ignore_errors=True)
        return
    try:
        temporary.rename(final)
    except OSError:
        if not final.is_dir():
            raise


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        _fsync(path)
    _fsync(folder)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
