"""Just-in-time compilation, once per machine and version of the code."""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import __version__ as numba_version
from numba import njit
from numba.core import config as numba_config

_settings: Any = numba_config

#: Allow the compiler to reorder sums, so that it adds several at once; infinities and NaN stay what they are.
FAST = {"reassoc", "contract", "nsz"}


def compiled(*, fastmath: Any = False, forceinline: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles without the interpreter, its lock, or checks of divisions.

    Args:
        fastmath: What the compiler may assume of floats; numba's argument.
        forceinline: Whether to inline the function into its callers.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        before = _settings.CACHE_DIR
        _settings.CACHE_DIR = str(_cache_folder())
        try:
            return njit(
                cache=True, nogil=True, error_model="numpy", fastmath=fastmath, forceinline=forceinline
            )(function)  # fmt: skip
        finally:
            _settings.CACHE_DIR = before

    return decorate


@cache
def _cache_folder() -> Path:
    """Return the folder of compiled code, one for each state of the sources.

    numba itself checks only the file of a function. It would keep using code compiled from another file that has
    changed since.
    """
    digest = hashlib.sha256(numba_version.encode())
    for source in _compiled_sources(Path(__file__).parents[1]):
        digest.update(source.read_bytes())
    home = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home, "cfmodel", "compiled", digest.hexdigest()[:16])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:  # there is no home, or it cannot be written to
        return Path(tempfile.gettempdir(), f"cfmodel-compiled-{os.getuid()}", folder.name)


def _compiled_sources(package: Path) -> list[Path]:
    """Return the files with functions to compile, and those they import: constants, types, intrinsics."""
    found = {source for source in package.rglob("*.py") if b"@compiled(" in source.read_bytes()}
    named = {
        tuple(name.decode().split(".")[1:])
        for source in found
        for name in re.findall(rb"^from (cfmodel[\w.]*) import", source.read_bytes(), re.MULTILINE)
    }
    return sorted(found | {package.joinpath(*name).with_suffix(".py") for name in named})
