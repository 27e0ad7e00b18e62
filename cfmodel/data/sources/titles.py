"""Titles of movies, from a file next to the ratings."""

import csv
import io
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from cfmodel.config import is_synthetic
from cfmodel.data.sources.downloads import PUBLIC_SETS
from cfmodel.data.sources.sources import DATA_DIR_VARIABLE
from cfmodel.errors import DataError

#: Files of movies in the MovieLens layouts: separator and encoding.
_LAYOUTS = {"movies.csv": (",", "utf-8"), "movies.dat": ("::", "latin-1"), "u.item": ("|", "latin-1")}


def find_titles(source: str, *, folder: Path) -> Path | None:
    """Return the file of movies that belongs to a source of ratings; None if there is none.

    Args:
        source: The source that was ingested: a public data set's name, a file or a folder.
    """
    if is_synthetic(source):
        return None
    return next((path for path in _places(source, folder) if _is_there(path)), None)


def read_titles(path: Path) -> dict[str, str]:
    """Read the title of each movie id.

    Args:
        path: A MovieLens file, recognised by its name, or any CSV file with a header whose first columns
            are id and title. It may be inside a ZIP archive, as in `archive.zip/set/movies.csv`.

    Raises:
        DataError: The file cannot be read.
    """
    separator, encoding = _LAYOUTS.get(path.name, (",", "utf-8"))
    try:
        text = _content(path).decode(encoding)
        return _parse_titles(text, separator, header=path.name not in ("movies.dat", "u.item"))
    except (OSError, KeyError, ValueError, csv.Error, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: titles cannot be read ({error}); set scoring.titles to a CSV file") from None


def _places(source: str, folder: Path) -> Iterable[Path]:
    if source in PUBLIC_SETS:
        member = PurePosixPath(PUBLIC_SETS[source].member).parent
        unpacked = os.environ.get(DATA_DIR_VARIABLE)
        roots = [Path(unpacked) / member, Path(unpacked) / source] if unpacked else []
        roots += [folder / "downloads" / source, folder / "downloads" / f"{source}.zip" / member]
    else:
        given = Path(source).expanduser()
        roots = [given if given.is_dir() else given.parent]
    return (root / name for root in roots for name in _LAYOUTS)


def _archive_of(path: Path) -> tuple[Path, str] | None:
    """Return the archive that a path points into, and the member's name."""
    for parent in path.parents:
        if parent.suffix == ".zip" and parent.is_file():
            return parent, path.relative_to(parent).as_posix()
    return None


def _is_there(path: Path) -> bool:
    if (inside := _archive_of(path)) is None:
        return path.is_file()
    archive, member = inside
    try:
        with zipfile.ZipFile(archive) as zipped:
            return member in zipped.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def _content(path: Path) -> bytes:
    if (inside := _archive_of(path)) is None:
        return path.read_bytes()
    archive, member = inside
    with zipfile.ZipFile(archive) as zipped:
        return zipped.read(member)


def _parse_titles(text: str, separator: str, *, header: bool) -> dict[str, str]:
    if separator == ",":
        rows: Iterable[list[str]] = csv.reader(io.StringIO(text))
    else:
        rows = (line.split(separator) for line in text.splitlines())
    titled = [row for row in rows if len(row) > 1][int(header) :]
    if not titled:
        raise ValueError("there is no row with an id and a title")
    return {row[0].strip(): row[1].strip() for row in titled}
