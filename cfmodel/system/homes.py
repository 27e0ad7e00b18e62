"""Folders that libraries write to by themselves: the home folder, and one for what cannot go there."""

import os
import tempfile
from pathlib import Path

from cfmodel.errors import ConfigError


def is_writable(folder: Path) -> bool:
    """Tell whether files can be made in a folder, or in the nearest folder above it that is there."""
    there = next((each for each in (folder, *folder.absolute().parents) if each.exists()), None)
    return there is not None and there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def require_writable(folder: Path, *, setting: str) -> None:
    """Refuse a folder where no file can be made; the message names the setting.

    Raises:
        ConfigError: It, or what is above it, is no folder or cannot be written.
    """
    if not is_writable(folder):
        raise ConfigError(
            f"{folder}: this account cannot write there (it is {folder.absolute()}); set {setting} to a folder where "
            "it can"
        )


def ensure_home() -> str | None:
    """Have a home folder that can be written, since Prefect, matplotlib and others write to it.

    Where there is none, as for an account of a container without an entry in /etc/passwd, HOME becomes a folder among
    the temporary files, of this account alone. Return a sentence that says so; None if there was nothing to do.

    Raises:
        ConfigError: There is no folder for temporary files either.
    """
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - `Path.home` raises where there is none
    if home.is_absolute() and home.is_dir() and is_writable(home):
        return None
    what = f"the home folder {home} cannot be written" if home.is_absolute() else "this account has no home folder"
    try:
        folder = Path(tempfile.gettempdir(), f"cfmodel-home-{os.getuid()}")
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid() or folder.is_symlink() or not is_writable(folder):
            folder = Path(tempfile.mkdtemp(prefix="cfmodel-home-"))  # somebody else was there first
    except OSError:
        raise ConfigError(
            f"{what}, and there is no folder for temporary files; set HOME to a folder that this account can write"
        ) from None
    os.environ["HOME"] = str(folder)
    kept = "" if os.environ.get("PREFECT_HOME") else ", Prefect's records of runs among them"
    return f"{what}: what belongs there goes to {folder}{kept}; set HOME to a folder that lasts"
