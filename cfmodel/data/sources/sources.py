"""Sources by name: synthetic ratings, files, public data sets and object stores."""

import glob
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cfmodel.data.sources.downloads import PUBLIC_SETS, download_set
from cfmodel.data.sources.object_stores import copy_objects, local_path, open_store
from cfmodel.data.sources.synthetic import SYNTHETIC, SyntheticSource
from cfmodel.errors import DataError
from cfmodel.system.digests import sha256_of_file, sha256_of_text

#: Environment variable: a folder of unpacked public data sets, each in its archive's folder or in one of its name.
DATA_DIR_VARIABLE = "CFMODEL_DATA_DIR"

#: The ratings file in each MovieLens layout, and the other files; one of them must be there, too.
_LAYOUTS = {
    "ratings.csv": ("movies.csv", "links.csv", "tags.csv", "users.csv"),
    "ratings.dat": ("movies.dat", "users.dat"),
    "u.data": ("u.item", "u.user"),
}
#: What only the folder of a table with a history holds.
_TABLES = {"_delta_log/*.json": "a Delta", ".hoodie/*": "a Hudi", "metadata/*.metadata.json": "an Iceberg"}
#: Parts as Hadoop and Hive name them, without an ending.
_PART = re.compile(r"part-[\w-]+|\d{6}_\d+")
_PACKED = ("", ".gz", ".zst")
_READABLE = (".csv", ".tsv", ".txt", ".dat", ".data", ".inter", ".mtx", ".json", ".jsonl", ".ndjson", ".parquet")
_ENDINGS = tuple(f"{ending}{packed}" for ending in _READABLE for packed in _PACKED)


@dataclass(frozen=True)
class FilesSource:
    """Files of ratings, read in order."""

    paths: tuple[Path, ...]

    @property
    def names(self) -> list[str]:
        """The files' paths below the folder that all of them share."""
        if len(self.paths) == 1:
            return [self.paths[0].name]
        shared = os.path.commonpath([path.parent.absolute() for path in self.paths])
        return [path.absolute().relative_to(shared).as_posix() for path in self.paths]


def resolve_source(source: str, *, folder: Path) -> SyntheticSource | FilesSource:
    """Return the source of a name; a public data set is downloaded and an object store's files are copied if needed.

    Args:
        source: `synthetic[:key=value,...]`, a public data set's name, a file, a folder, a glob, or the
            address of one of these in an object store.

    Raises:
        ConfigError: A key of `synthetic` is unknown or its value is out of range.
        DataError: Nothing is found, or a download or store cannot be reached.
    """
    if source.partition(":")[0] == SYNTHETIC:
        return SyntheticSource.parse(source)
    if source in PUBLIC_SETS:
        return FilesSource(_public_set(source, folder))
    if (path := local_path(source)) is None:
        return FilesSource(copy_objects(source, folder=folder / "downloads" / "objects", endings=_ENDINGS))
    return FilesSource(_files(path))


def check_source(source: str) -> None:
    """Refuse a source that does not exist, without reading or downloading anything.

    Raises:
        ConfigError: A key of `synthetic` is unknown or its value is out of range.
        DataError: There is no such file, folder or glob.
    """
    if local_path(source) is None:
        open_store(source)
    elif source not in PUBLIC_SETS:
        resolve_source(source, folder=Path())


def digest_of_source(resolved: SyntheticSource | FilesSource) -> str:
    """Return the SHA-256 over a source's raw bytes, without file names, or over a synthetic one's settings."""
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
    return (download_set(name, folder=folder / "downloads"),)


def _files(path: Path) -> tuple[Path, ...]:
    with suppress(OSError, ValueError):  # not a valid file name
        if path.is_dir():
            return _in_folder(path)
        if path.is_file():
            return (path,)
        matches = sorted(Path(match) for match in glob.glob(_pattern(path), recursive=True))  # noqa: PTH207 (absolute patterns)
        if files := tuple(match for match in matches if match.is_file()):
            return files
    raise DataError(
        f"{path}: no such file, folder or glob; give one, `synthetic`, or a public data set: {', '.join(PUBLIC_SETS)}"
    )


def _pattern(path: Path) -> str:
    """Return a path as a pattern in which brackets of folders that exist are no pattern."""
    there = next(parent for parent in path.parents if parent.exists())
    return str(Path(glob.escape(str(there))) / path.relative_to(there))


def _in_folder(folder: Path) -> tuple[Path, ...]:
    """Return the ratings file of a MovieLens or RecBole layout, else every file with a known ending, sorted by name."""
    for name, others in _LAYOUTS.items():
        if (ratings := _plain_or_packed(folder, name)) and any(_plain_or_packed(folder, other) for other in others):
            return (ratings,)
    if table := next((name for mark, name in _TABLES.items() if any(folder.glob(mark))), None):
        raise DataError(
            f"{folder}: is {table} table, whose folder also holds rows that were replaced; write the current ones as "
            f"Parquet, for example spark.table(NAME).write.parquet('ratings')"
        )
    if files := tuple(sorted(path for packed in _PACKED for path in folder.glob(f"*.inter{packed}"))):
        return files
    present = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path, folder))
    if files := tuple(path for path in present if path.name.lower().endswith(_ENDINGS)):
        return files
    if files := tuple(path for path in present if _PART.fullmatch(path.name)):
        return files
    found = ", ".join(path.relative_to(folder).as_posix() for path in present[:8]) or "nothing"
    raise DataError(
        f"{folder}: no file of ratings ({', '.join(_READABLE)}, plain, .gz or .zst); it holds {found}; if some of "
        f"these are ratings, give a glob of them, such as '{folder}/*'"
    )


def _is_hidden(path: Path, folder: Path) -> bool:
    """Return whether a name below a folder begins with a dot or underscore, such as `_SUCCESS`."""
    return any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)


def _plain_or_packed(folder: Path, name: str) -> Path | None:
    return next((path for packed in _PACKED if (path := folder / f"{name}{packed}").is_file()), None)
