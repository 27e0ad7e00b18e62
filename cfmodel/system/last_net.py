"""The last net: one sentence about an error that nobody foresaw, and a file with its traceback."""

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType

from cfmodel.errors import UnforeseenError
from cfmodel.system.addresses import redact

_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}
_REMEDIES = {
    errno.ENOSPC: "free some space and run again",
    errno.EDQUOT: "free some space and run again",
    errno.ENOENT: "check that it is still there, and run again",
    errno.ENOTDIR: "a part of that path is a file: name another",
    errno.EISDIR: "it is a folder where a file is needed: move it away",
    errno.EMFILE: "allow more open files: ulimit -n 4096",
    errno.ENFILE: "this machine has too many open files: end other programs",
    errno.ENAMETOOLONG: "shorten the name",
    errno.ENOMEM: "there is too little memory: end other programs, or take a machine with more",
}
#: Names by which our functions call the file they work on.
_FILES = ("path", "file", "archive", "folder", "source")


def unforeseen(error: Exception) -> UnforeseenError:
    """Return an error with one sentence: file, what, what to do, and where its traceback was written."""
    sentence = redact(f"{_what(error)}; {_remedy(error)}")
    log = _write(error)
    return UnforeseenError(f"{sentence} (the traceback is in {log})" if log else sentence)


def _what(error: Exception) -> str:
    system = _first(error, OSError)
    if isinstance(system, OSError) and system.strerror:
        return f"{system.filename or _file_of(error) or 'a file'}: {system.strerror}"
    lines = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0].rstrip('.;')}" if lines else type(error).__name__
    file = _file_of(error)
    return f"{file}: {text}" if file else text


def _remedy(error: Exception) -> str:
    system = _first(error, OSError)
    if isinstance(system, OSError) and system.errno is not None:
        if system.errno in _NOT_ALLOWED:
            return _right(system.filename)
        return _REMEDIES.get(system.errno, "check the disk, the network and the path, and run again")
    if isinstance(error, MemoryError):
        return "there is too little memory: end other programs, or take a machine with more"
    if isinstance(error, UnicodeEncodeError):
        return "this terminal cannot show a character: export PYTHONIOENCODING=utf-8, and run again"
    if type(error).__module__.split(".")[0] == "pyarrow":
        return "write the file again with columns of plain text and numbers, as CSV or Parquet"
    if type(error).__name__ == "OutOfMemoryError":
        return "the GPU has too little memory: set runtime.device = 'cpu', or end other programs on it"
    return "that is a fault of cfmodel: please report it, with the traceback"


def _right(path: object) -> str:
    """Return which right is missing, and what else would help."""
    if path == sys.executable:
        return "allow this account to run it, or set cfmodel up again with a Python that it can run"
    with suppress(OSError):  # the folder may be closed, too
        if path and Path(str(path)).is_file() and not os.access(str(path), os.R_OK):
            return "allow this account to read it"
    return f"allow this account to write there, or {_setting(path)}"


def _setting(path: object) -> str:
    """Return what to set so that something else than a path is written to."""
    given = Path(str(path or "")).absolute()
    places = {name: folder for name in ("PREFECT_HOME", "HOME") if (folder := os.environ.get(name))}
    with suppress(OSError):
        places["TMPDIR"] = tempfile.gettempdir()
    # The data folder may be below the home folder, too.
    below = [name for name, folder in places.items() if path and given.is_relative_to(Path(folder).absolute())]
    if below and not given.is_relative_to(Path.cwd()):
        return f"set {below[0]} to a folder where it can"
    return "set runtime.data_dir (and tracking.uri for the store) to a folder where it can"


def _first(error: BaseException, kind: type[BaseException]) -> BaseException | None:
    """Return the first of a kind among an error and what caused it."""
    return next((each for each in _causes(error) if isinstance(each, kind)), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _file_of(error: Exception) -> str | None:
    """Return the file that our innermost function was at work on, for libraries that do not name it."""
    package, found = Path(__file__).parents[1], None
    for frame in _frames(error.__traceback__):
        if package in Path(frame.tb_frame.f_code.co_filename).parents:
            values = (frame.tb_frame.f_locals.get(name) for name in _FILES)
            found = next((str(value) for value in values if isinstance(value, str | Path) and str(value)), found)
    return found


def _frames(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _write(error: Exception) -> Path | None:
    """Write the traceback to a new file; return it, None where no folder takes one."""
    text = "".join(traceback.format_exception(error))
    heading = f"{datetime.now().astimezone().isoformat(timespec='seconds')}  {sys.argv}\n{sys.version}\n\n"
    for folder in (tempfile.gettempdir, os.getcwd):
        with suppress(OSError):
            descriptor, name = tempfile.mkstemp(prefix="cfmodel-error-", suffix=".log", dir=folder())
            with os.fdopen(descriptor, "w", encoding="utf-8") as log:
                log.write(redact(heading + text))
            return Path(name)
    return None
