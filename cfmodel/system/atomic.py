"""Folders and files that appear whole or not at all."""

import errno
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cfmodel.errors import DiskFullError

_PREFIX = ".tmp-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_RUST_NUMBER = re.compile(r"\(os error (\d+)\)")


@contextmanager
def folder(final: Path, *, replace: bool = False) -> Iterator[Path]:
    """Write a folder under a temporary name beside it, then rename it.

    The temporary folder is flushed to disk (fsync) before the rename, so that after a crash the
    final name holds everything or does not exist. Leftovers of dead processes are swept.

    Args:
        final: The folder's own name.
        replace: Whether to replace an existing folder of that name. Otherwise the existing folder is
            kept and the new one is discarded, because both hold the same.

    Yields:
        The temporary folder to write to.

    Raises:
        DiskFullError: The disk is full; an existing folder of that name stays as it is.
    """
    with _temporary(final) as temporary:
        temporary.mkdir()
        yield temporary
        _flush(temporary)
        _rename_folder(temporary, final, replace=replace)


@contextmanager
def file(final: Path) -> Iterator[Path]:
    """Write a file under a temporary name beside it, then rename it; it replaces a file of that name.

    The content is flushed to disk (fsync) before the rename, so that after a crash the final name
    holds the old content or the new, both whole. Leftovers of dead processes are swept.

    Args:
        final: The file's own name.

    Yields:
        The temporary file to write, which does not exist yet.

    Raises:
        DiskFullError: The disk is full; an existing file of that name stays as it is.
    """
    with _temporary(final) as temporary:
        yield temporary
        fsync(temporary)
        temporary.replace(final)


@contextmanager
def _room_for(final: Path) -> Iterator[None]:
    """Turn the system's error about a full disk, quota or largest file into one that says what to do.

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
    """Tell whether an error says that a disk, a quota or a file is full.

    Rust's libraries, safetensors among them, have the system's error number in their message only.
    """
    if isinstance(error, OSError):
        return error.errno in _FULL
    number = _RUST_NUMBER.search(str(error))
    return number is not None and int(number[1]) in _FULL


@contextmanager
def _temporary(final: Path) -> Iterator[Path]:
    """Yield a temporary name beside a final one, and flush the names when the block has renamed it."""
    with _room_for(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        sweep(final.parent)
        temporary = _beside(final)
        try:
            yield temporary
            fsync(final.parent)
        finally:
            _discard(temporary)


def remove(folder: Path) -> None:
    """Remove a folder so that its name never holds half of it; `sweep` finishes what a crash leaves."""
    aside = _beside(folder)
    folder.rename(aside)
    shutil.rmtree(aside)


def sweep(parent: Path) -> None:
    """Remove the temporary files and folders in a folder that belong to dead processes."""
    for leftover in parent.glob(f"{_PREFIX}*-*"):
        process = leftover.name.removeprefix(_PREFIX).split("-")[0]
        if process.isdecimal() and not _is_alive(int(process)):
            _discard(leftover)


def _beside(path: Path) -> Path:
    return path.with_name(f"{_PREFIX}{os.getpid()}-{uuid.uuid4().hex[:8]}-{path.name}")


def _discard(path: Path) -> None:
    """Remove a folder or a file, as far as that is allowed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _rename_folder(temporary: Path, final: Path, *, replace: bool) -> None:
    if final.exists() and not replace:
        return
    if final.exists():
        # A folder cannot be renamed onto one that is not empty: the old one steps aside first.
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
