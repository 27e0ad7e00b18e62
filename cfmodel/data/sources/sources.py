"""What a source's name means: planted ratings, files, or a public set."""

import glob
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cfmodel.data.sources import object_stores as objects
from cfmodel.data.sources.downloads import PUBLIC_SETS, fetch
from cfmodel.data.sources.synthetic import NAME as SYNTHETIC
from cfmodel.data.sources.synthetic import SyntheticSource
from cfmodel.errors import DataError
from cfmodel.system.digests import sha256_of_file, sha256_of_text

#: Folder of sets already unpacked, each in its archive's own folder or in one of its name.
DATA_DIR_VARIABLE = "CFMODEL_DATA_DIR"

#: The file of ratings in MovieLens' layouts, and the files beside one of which it is known to be that.
_LAYOUTS = {
    "ratings.csv": ("movies.csv", "links.csv", "tags.csv"),
    "ratings.dat": ("movies.dat",),
    "u.data": ("u.item",),
}
_PACKED = ("", ".gz", ".zst")
_READABLE = (".csv", ".tsv", ".txt", ".dat", ".data", ".json", ".jsonl", ".ndjson", ".parquet")
_ENDINGS = tuple(f"{ending}{packed}" for ending in _READABLE for packed in _PACKED)


@dataclass(frozen=True)
class FilesSource:
    """Files of ratings, read one after the other."""

    paths: tuple[Path, ...]

    @property
    def names(self) -> list[str]:
        """The files' names, below the folder that all of them share."""
        if len(self.paths) == 1:
            return [self.paths[0].name]
        shared = os.path.commonpath([path.parent.absolute() for path in self.paths])
        return [path.absolute().relative_to(shared).as_posix() for path in self.paths]


def resolve(source: str, *, folder: Path) -> SyntheticSource | FilesSource:
    """Say what a source's name means; a public set is downloaded where it is not at hand.

    Args:
        source: `synthetic[:key=value,...]`, a public set's name, a file, a folder, a glob, or the
            address of one of these in an object store.
        folder: Folder below which downloads are kept.

    Raises:
        ConfigError: A key of `synthetic` is unknown or its value outside what it may be.
        DataError: Nothing is there, or a public set or a store cannot be reached.
    """
    if source.partition(":")[0] == SYNTHETIC:
        return SyntheticSource.parse(source)
    if source in PUBLIC_SETS:
        return FilesSource(_public_set(source, folder))
    if (path := objects.as_path(source)) is None:
        return FilesSource(objects.fetch(source, folder=folder / "downloads" / "objects", endings=_ENDINGS))
    return FilesSource(_files(path))


def check(source: str) -> None:
    """Refuse a source that cannot be there, without reading or downloading anything.

    Raises:
        ConfigError: A key of `synthetic` is unknown or its value outside what it may be.
        DataError: There is no such file, folder or glob.
    """
    if objects.as_path(source) is None:
        objects.store_of(source)
    elif source not in PUBLIC_SETS:
        resolve(source, folder=Path())


def digest_of(resolved: SyntheticSource | FilesSource) -> str:
    """Return the SHA-256 over a source's raw bytes, names excluded, or over a generated one's settings."""
    if isinstance(resolved, SyntheticSource):
        return sha256_of_text(str(resolved))
    try:
        digests = [sha256_of_file(path) for path in resolved.paths]
    except OSError as error:
        raise DataError(f"{error.filename}: cannot be read ({error.strerror}); check its permissions") from None
    return digests[0] if len(digests) == 1 else sha256_of_text(*digests)


def _public_set(name: str, folder: Path) -> tuple[Path, ...]:
    member = PurePosixPath(PUBLIC_SETS[name].member)
    if unpacked := os.environ.get(DATA_DIR_VARIABLE):
        for path in (Path(unpacked) / member, Path(unpacked) / name / member.name):
            if path.is_file():
                return (path,)
    return (fetch(name, folder=folder / "downloads"),)


def _files(path: Path) -> tuple[Path, ...]:
    with suppress(OSError, ValueError):  # a name that no file can have
        if path.is_dir():
            return _in_folder(path)
        if path.is_file():
            return (path,)
        matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207 (absolute patterns)
        if files := tuple(match for match in matches if match.is_file()):
            return files
    raise DataError(
        f"{path}: no such file, folder or glob; give one, `synthetic`, or a public set: {', '.join(PUBLIC_SETS)}"
    )


def _in_folder(folder: Path) -> tuple[Path, ...]:
    """Return the ratings file of a known layout alone, and else every file that can be read, by name."""
    for name, others in _LAYOUTS.items():
        if (ratings := _plain_or_packed(folder, name)) and any(_plain_or_packed(folder, other) for other in others):
            return (ratings,)
    present = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path, folder))
    if files := tuple(path for path in present if path.name.lower().endswith(_ENDINGS)):
        return files
    found = ", ".join(path.relative_to(folder).as_posix() for path in present[:8]) or "nothing"
    raise DataError(f"{folder}: no file of ratings ({', '.join(_READABLE)}, plain, .gz or .zst); it holds {found}")


def _is_hidden(path: Path, folder: Path) -> bool:
    """Tell whether a name below a folder begins with a dot or underscore, as `_SUCCESS` and `.crc` do."""
    return any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)


def _plain_or_packed(folder: Path, name: str) -> Path | None:
    return next((path for packed in _PACKED if (path := folder / f"{name}{packed}").is_file()), None)
