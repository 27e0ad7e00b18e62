"""Compile a function just in time, once on a machine for each version of the code."""

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

#: Sums may be reordered, so that several are added up at once; what is not finite stays what it is.
FAST = {"reassoc", "contract", "nsz"}


def compiled(*, fastmath: Any = False, forceinline: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Return a decorator that compiles without the interpreter, its lock, or checks of divisions.

    Args:
        fastmath: What the compiler may assume of floats, as numba has it.
        forceinline: Whether the function becomes a part of each that calls it.
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
    """Return where compiled code is kept: a folder of its own for each state of the sources.

    numba itself looks at the file of a function alone, and would go on using what it once compiled
    from another file that has changed since.
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
    except OSError:  # no home, or one that cannot be written to
        return Path(tempfile.gettempdir(), f"cfmodel-compiled-{os.getuid()}", folder.name)


def _compiled_sources(package: Path) -> list[Path]:
    """Return the files that have something to compile, and those they import: constants, types, intrinsics."""
    found = {source for source in package.rglob("*.py") if b"@compiled(" in source.read_bytes()}
    named = {
        tuple(name.decode().split(".")[1:])
        for source in found
        for name in re.findall(rb"^from (cfmodel[\w.]*) import", source.read_bytes(), re.MULTILINE)
    }
    return sorted(found | {package.joinpath(*name).with_suffix(".py") for name in named})
