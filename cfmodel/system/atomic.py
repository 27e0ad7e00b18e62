"""Folders that appear whole or not at all."""

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cfmodel.errors import DiskFullError

_PREFIX = ".tmp-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_RUST_NUMBER = re.compile(r"\(os error (\d+)\)")


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

    Raises:
        DiskFullError: There is no room for it; what has that name already stays as it is.
    """
    with room_for(final):
        yield from _written(final, replace=replace)


@contextmanager
def room_for(final: Path) -> Iterator[None]:
    """Turn what the system says of a full disk, quota or largest file into a refusal that says what to do.

    Raises:
        DiskFullError: There is no room for what the block writes.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or not says_full(error):
            raise
        raise DiskFullError(
            f"{final}: {os.strerror(error.errno)}; nothing of it is kept, and what was there before is whole; "
            "free some space and run again"
        ) from error


def says_full(error: Exception) -> bool:
    """Tell whether an error says that a disk, a quota or a file can take no more.

    Rust's libraries, safetensors among them, have the system's number in their words alone.
    """
    if isinstance(error, OSError):
        return error.errno in _FULL
    told = _RUST_NUMBER.search(str(error))
    return told is not None and int(told[1]) in _FULL


def _written(final: Path, *, replace: bool) -> Iterator[Path]:
    final.parent.mkdir(parents=True, exist_ok=True)
    sweep(final.parent)
    temporary = final.parent / f"{_PREFIX}{os.getpid()}-{uuid.uuid4().hex[:8]}-{final.name}"
    temporary.mkdir()
    try:
        yield temporary
        _flush(temporary)
        _give_name(temporary, final, replace=replace)
        fsync(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove(folder: Path) -> None:
    """Remove a folder so that its name never holds half of it; `sweep` finishes what a crash leaves."""
    aside = folder.parent / f"{_PREFIX}{os.getpid()}-{uuid.uuid4().hex[:8]}-{folder.name}"
    folder.rename(aside)
    shutil.rmtree(aside)


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
        fsync(path)
    fsync(folder)


def fsync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
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
