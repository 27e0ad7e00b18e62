"""A look at a source before anything is started: its formats and columns, and the first rows of its files."""

from collections.abc import Sequence
from pathlib import Path

from cfmodel.config import IngestSettings, SplitSettings
from cfmodel.data.formats.sniff import FileFormat
from cfmodel.data.ingest.quarantine import tell_bad_rows
from cfmodel.data.ingest.read_source import formats_of, numbers_to_set
from cfmodel.data.reading.read_as import describe_format, read_as
from cfmodel.data.reading.read_file import read_blocks
from cfmodel.data.sources.downloads import PUBLIC_SETS
from cfmodel.data.sources.object_stores import local_path
from cfmodel.data.sources.sources import FilesSource, check_source, resolve_source
from cfmodel.data.splitting.assign_parts import NEED_TIMES, without_times
from cfmodel.errors import CFModelError, DataError
from cfmodel.refs import Ref
from cfmodel.schema import TIMESTAMP

#: Files whose first rows are checked.
_MOST_FILES = 8
#: Files whose formats are detected; ingest does it for all.
_MOST_FORMATS = 200


class Look(Ref):
    """What a source is taken for.

    Attributes:
        read_as: The columns, unit of time, encoding and separator in one line; empty for what is not on this disk.
        doubts: What about the columns was guessed.
    """

    read_as: str = ""
    doubts: tuple[str, ...] = ()


def look(source: str, ingest: IngestSettings, split: SplitSettings) -> Look:
    """Check a source and the test source as far as a second allows, and return what the source is taken for.

    Formats and columns of the files on this disk are checked, and the first block of their rows. Nothing is
    downloaded or written.

    Raises:
        CFModelError: Something is wrong; the message has all that was found, a line for each.
    """
    looks, problems = [], []
    for name in filter(None, (source, split.test_source)):
        try:
            looks.append(_look(name, ingest, split))
        except CFModelError as refusal:
            problems.append(str(refusal))
    if problems:
        raise DataError("\n".join(problems))
    return looks[0]


def _look(source: str, ingest: IngestSettings, split: SplitSettings) -> Look:
    check_source(source)
    if source in PUBLIC_SETS or local_path(source) is None:
        return Look()
    resolved = resolve_source(source, folder=Path())
    if not isinstance(resolved, FilesSource):
        return Look()
    files = FilesSource(resolved.paths[:_MOST_FORMATS])
    formats = formats_of(files, ingest)
    problems = _without_times([format for _, format in formats], source, split)
    described = []
    for number, (name, (path, format)) in enumerate(zip(files.names, formats, strict=True)):
        times, found = _first_rows(name, path, format, ingest) if number < _MOST_FILES else ("", [])
        if format.kind != "empty":
            described.append((name, describe_format(format, times)))
        problems += found
    if problems:
        raise DataError("\n".join(problems))
    doubts = dict.fromkeys(doubt for _, format in formats for doubt in format.columns.doubts)
    return Look(read_as=read_as(described), doubts=tuple(doubts))


def _first_rows(name: str, path: Path, format: FileFormat, settings: IngestSettings) -> tuple[str, list[str]]:
    """Return what the times in the first block of a file are written as, and what ends a run there."""
    block = next(read_blocks(path, format, settings), None)
    if block is None:
        return "", []
    checked, cells = block.check(), block.rows * block.cells
    none_left = len(checked.bad) == cells
    ends = bool(checked.bad) and (settings.on_bad_row == "stop" or none_left)
    told = tell_bad_rows(name, checked, settings, rows=cells, remedy=numbers_to_set(format)) if ends else []
    return checked.times, told


def _without_times(formats: Sequence[FileFormat], source: str, split: SplitSettings) -> list[str]:
    """Return what is wrong if the split needs timestamps and a file has none."""
    timed = all(TIMESTAMP in format.columns.roles for format in formats if format.kind != "empty")
    if split.strategy not in NEED_TIMES or timed:
        return []
    return [f"{source}: {without_times(split.strategy)}"]
