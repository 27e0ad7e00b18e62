"""Object stores, reached through fsspec: copy files once per content, then read the copies."""

import glob
import shutil
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from cfmodel.errors import DataError
from cfmodel.system import atomic
from cfmodel.system.addresses import holds_secret, redact
from cfmodel.system.digests import sha256_of_text

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

#: Stores that can be read, and the package that each needs in addition to fsspec.
_PACKAGES = {
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "adlfs"),
    "oci": "ocifs",
    "oss": "ossfs",
    "hdfs": "pyarrow",
    "memory": "",
}
#: Copies of a source's earlier content are removed after this time.
_KEEP_SECONDS = 24 * 3600


def local_path(source: str) -> Path | None:
    """Return a source's path; None for the address of an object store."""
    protocol, mark, rest = source.partition("://")
    if mark and protocol not in ("file", "local"):
        return None
    path = Path(rest if mark else source)
    try:
        return path.expanduser()
    except RuntimeError:  # the home folder of an unknown user
        return path


def open_store(source: str) -> "AbstractFileSystem":
    """Return the fsspec file system of an address.

    Raises:
        DataError: The store is not supported, the address holds a secret, or a package is missing.
    """
    protocol, public = source.partition("://")[0], redact(source)
    if "::" in source or protocol not in _PACKAGES:
        web = protocol in ("http", "https", "ftp")
        remedy = "download it, check its digest and give the file" if web else f"use one of {', '.join(_PACKAGES)}"
        raise DataError(f"{public}: {protocol}:// is not supported; {remedy}")
    if holds_secret(source):
        raise DataError(
            f"{public}: a source's address must not hold a password or key, since Prefect and MLflow store "
            "and show it; set the credentials in the environment variables or the credentials file of the store's "
            "package, or in fsspec's configuration (~/.config/fsspec)"
        )
    import fsspec

    try:
        return fsspec.filesystem(protocol)
    except ImportError:
        package = _PACKAGES[protocol]
        raise DataError(f"{public}: {protocol}:// needs the package {package}; pip install {package}") from None
    except Exception as error:  # store clients raise anything
        raise _unreadable(public, error) from None


def copy_objects(source: str, *, folder: Path, endings: Sequence[str]) -> tuple[Path, ...]:
    """Return copies of the files at an address: one file, all below a folder, or all of a glob.

    The name of the copy depends on the files' tags, sizes and times in the store, so that they are
    copied again only if one of them changed.

    Args:
        endings: Endings of the names of files to read below a folder.

    Raises:
        DataError: Nothing is found, or it cannot be read.
    """
    store = open_store(source)
    try:
        root = str(store._strip_protocol(source)).rstrip("/")
        names = _names(store, root, endings)
        if not names:
            raise DataError(f"{source}: holds no file of ratings ({', '.join(endings[:8])}, ...); give another address")
        return _copied(store, names, folder, key=sha256_of_text(source)[:16])
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{source}: no such object, folder or glob") from None
    except Exception as error:  # store clients raise anything
        raise _unreadable(source, error) from None


def _names(store: "AbstractFileSystem", root: str, endings: Sequence[str]) -> list[str]:
    if glob.has_magic(root) and not store.exists(root):
        there = next((folder for folder in map(str, PurePosixPath(root).parents) if store.exists(folder)), "")
        pattern = glob.escape(there) + root.removeprefix(there)
        return sorted(name for name in store.glob(pattern) if store.isfile(name))
    if not store.isdir(root):
        store.info(root)  # raises if nothing is there
        return [root]
    below = (PurePosixPath(name.removeprefix(root).lstrip("/")) for name in sorted(store.find(root)))
    return [
        f"{root}/{name}"
        for name in below
        if str(name).lower().endswith(tuple(endings)) and not any(part.startswith((".", "_")) for part in name.parts)
    ]


def _copied(store: "AbstractFileSystem", names: Sequence[str], folder: Path, *, key: str) -> tuple[Path, ...]:
    content = sha256_of_text(*(f"{name} {store.ukey(name)}" for name in names))[:16]
    final = folder / f"{key}-{content}"
    targets = [PurePosixPath(f"{place:05d}") / PurePosixPath(name).name for place, name in enumerate(names)]
    if not final.is_dir():
        with atomic.folder(final) as temporary:
            for name, target in zip(names, targets, strict=True):
                (temporary / target).parent.mkdir()
                store.get_file(name, str(temporary / target))
        _sweep(folder, key, final)
    return tuple(final / target for target in targets)


def _sweep(folder: Path, key: str, newest: Path) -> None:
    for old in folder.glob(f"{key}-*"):
        if old != newest and old.stat().st_mtime < time.time() - _KEEP_SECONDS:
            shutil.rmtree(old, ignore_errors=True)


def _unreadable(source: str, error: Any) -> DataError:
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    return DataError(f"{source}: cannot be read ({reason}); check the address and the store's configuration")
