"""Reading of a whole source: check blocks in parallel, write ratings in order, and count every row."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cfmodel.config import IngestSettings
from cfmodel.data.formats.raw_rows import CheckedRows
from cfmodel.data.formats.reshape import SECTION_NAMES
from cfmodel.data.formats.sniff import FileFormat, sniff
from cfmodel.data.ingest.quarantine import Quarantine
from cfmodel.data.ingest.ratings_sink import RatingsSink
from cfmodel.data.reading.read_as import describe_format
from cfmodel.data.reading.read_file import UncheckedBlock, read_blocks
from cfmodel.data.sources.sources import FilesSource
from cfmodel.data.sources.synthetic import SyntheticSource
from cfmodel.errors import DataError
from cfmodel.refs import Accounts, Ref
from cfmodel.schema import ENCODED_RATINGS, MOVIE_ID, RATING, USER_ID

#: Threads that check blocks, and blocks in memory at a time.
_THREADS = 2
_BLOCKS_AHEAD = 4


@dataclass(frozen=True)
class RowsRead:
    """Progress of reading.

    Attributes:
        rows: Ratings read so far.
        fraction: Share of the source read so far, in [0, 1]; None if unknown.
    """

    rows: int
    fraction: float | None


class FileRead(Ref):
    """The format of a file, and the counts of its rows.

    Attributes:
        name: The file's path below the folder that all files share.
        kind: `text`, `jsonl`, `parquet`, `empty` or `synthetic`.
        encoding: Encoding of text; None for Parquet.
        separator: Text between two fields; None if not delimited text.
        header: Whether there is a header row; None if not delimited text.
        shape: How rows that are not lines become lines; None: each is one.
        accounts: Counts of the file's rows, before duplicates are merged.
        read_as: What the file was taken for, with its columns and the form of its times.
        doubts: What about its columns was guessed.
    """

    name: str
    kind: str
    encoding: str | None
    separator: str | None
    header: bool | None
    shape: str | None = None
    accounts: Accounts
    read_as: str = ""
    doubts: tuple[str, ...] = ()


def read_source(
    source: SyntheticSource | FilesSource,
    settings: IngestSettings,
    quarantine: Quarantine,
    sink: RatingsSink,
    on_record: Callable[[Any], None] | None,
) -> Iterator[FileRead]:
    """Read a source; yield each file's format and counts after it is read.

    Raises:
        DataError: A file cannot be read, or there is a bad row and `ingest.on_bad_row` is 'stop'.
        AssertionError: The counts of rows do not add up.
    """
    if isinstance(source, SyntheticSource):
        yield _read_synthetic(source, sink, on_record)
        return
    names, sizes = source.names, [path.stat().st_size for path in source.paths]
    kept = rows_before = 0
    for place, (path, format) in enumerate(formats_of(source, settings)):
        parts: list[Accounts] = []
        times: dict[str, None] = {}
        try:
            for block, checked in _in_order(read_blocks(path, format, settings, rows_before=rows_before)):
                remedy = numbers_to_set(format)
                quarantine.add(names[place], checked, rows=block.rows * block.cells, others=kept > 0, remedy=remedy)
                sink.add(checked.ratings)
                parts.append(_accounts(block, checked))
                times |= dict.fromkeys(filter(None, (checked.times,)))
                kept += checked.ratings.num_rows
                rows_before += block.rows
                if on_record is not None:
                    read = sum(sizes[:place]) + block.share * sizes[place]
                    on_record(RowsRead(kept, read / max(sum(sizes), 1)))
        except DataError as error:
            raise _with_file_names(error, source) from None
        yield _file_read(names[place], format, add_accounts(parts), " and ".join(times))


def add_accounts(parts: Iterable[Accounts]) -> Accounts:
    """Return the sum of accounts."""
    listed = list(parts)
    return Accounts(**{name: sum(getattr(part, name) for part in listed) for name in Accounts.model_fields})


def formats_of(source: FilesSource, settings: IngestSettings) -> list[tuple[Path, FileFormat]]:
    """Detect the format of every file; one without a header may be a part of one with a header.

    Raises:
        DataError: Files cannot be read or lack a column; the message names up to 8 of them.
    """
    formats = [_format_or_refusal(path, settings, None) for path in source.paths]
    like = next((format for format in formats if isinstance(format, FileFormat) and format.header), None)
    if like is not None:
        formats = [
            _format_or_refusal(path, settings, like)
            if isinstance(format, DataError) or (format.kind == "text" and not format.header)
            else format
            for path, format in zip(source.paths, formats, strict=True)
        ]
    formats = _refuse_other_widths(source, settings, formats)
    if refusals := [str(format) for format in formats if isinstance(format, DataError)]:
        more = [f"and {len(refusals) - 8:,} more files"] if len(refusals) > 8 else []
        raise _with_file_names(DataError("\n".join(refusals[:8] + more)), source)
    found = [format for format in formats if isinstance(format, FileFormat)]
    if all(format.kind == "empty" for format in found):
        empty = DataError(f"{source.paths[0].name}: is empty; give a file with ratings")
        raise _with_file_names(empty, source)
    return list(zip(source.paths, found, strict=True))


def _refuse_other_widths(
    source: FilesSource, settings: IngestSettings, formats: Sequence[FileFormat | DataError]
) -> list[FileFormat | DataError]:
    """Refuse files without a header that have another number of columns than the first text: a list of users, say."""
    columns, names = settings.columns, source.names
    texts = {
        at: format
        for at, format in enumerate(formats)
        if isinstance(format, FileFormat) and format.kind == "text" and format.shape not in SECTION_NAMES
    }
    given = columns.user_id and columns.movie_id and columns.rating
    first = next((at for at in texts if texts[at].header), next(iter(texts), None))
    if given or settings.layout == "wide" or first is None:
        return list(formats)
    width = len(texts[first].columns.names)
    others = {at: len(texts[at].columns.names) for at in texts if not texts[at].header}
    return [
        DataError(
            f"{names[at]}: has no header, and {others[at]} columns where {names[first]} has {width}, so it is hardly a "
            f"part of the same table; leave it out, or set ingest.columns.user_id, ingest.columns.movie_id and "
            f"ingest.columns.rating to the numbers of their columns"
        )
        if others.get(at, width) != width
        else format
        for at, format in enumerate(formats)
    ]


def _format_or_refusal(path: Path, settings: IngestSettings, like: FileFormat | None) -> FileFormat | DataError:
    try:
        return sniff(path, settings, like=like)
    except DataError as refusal:
        return refusal


def numbers_to_set(format: FileFormat) -> str:
    """Return what to set if no row of a file is a rating."""
    if format.kind != "text" or format.header or format.shape is not None:
        return ""
    numbers = ", ".join(f"ingest.columns.{role}" for role in (USER_ID, MOVIE_ID, RATING))
    return f"; the file has no header, so set {numbers} to the numbers of their columns"


def _with_file_names(error: DataError, source: FilesSource) -> DataError:
    """Add the names of all files to an error: a folder or glob may include a file that holds no ratings."""
    if len(source.paths) == 1:
        return error
    hive = next((part for name in source.names for part in name.split("/")[:-1] if "=" in part), None)
    if hive is not None and "no column is recognised" in str(error):
        write = "import pyarrow.dataset as d; import pyarrow.parquet as p; p.write_table(d.dataset('FOLDER', "
        error = DataError(
            f"{error}; a column may be in the names of the folders, such as {hive}: write it into one file with "
            f"python -c \"{write}partitioning='hive').to_table(), 'ratings.parquet')\""
        )
    named = ", ".join(source.names[:8]) + (", ..." if len(source.paths) > 8 else "")
    return DataError(
        f"{error} (read together: {len(source.paths):,} files, {named}; if only some hold ratings, give these alone)"
    )


def _in_order(blocks: Iterator[UncheckedBlock]) -> Iterator[tuple[UncheckedBlock, CheckedRows]]:
    """Check blocks in parallel, and yield them in the order of the file."""
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), "ingest") as threads:
        running: deque[tuple[UncheckedBlock, Future[CheckedRows]]] = deque()
        try:
            for block in blocks:
                running.append((block, threads.submit(block.check)))
                if len(running) >= _BLOCKS_AHEAD:
                    yield _next(running)
            while running:
                yield _next(running)
        finally:
            for _, future in running:
                future.cancel()


def _next(running: "deque[tuple[UncheckedBlock, Future[CheckedRows]]]") -> tuple[UncheckedBlock, CheckedRows]:
    block, future = running.popleft()
    return block, future.result()


def _accounts(block: UncheckedBlock, checked: CheckedRows) -> Accounts:
    """Return the counts of a block; `rows_in` is counted independently of the others."""
    accounts = Accounts(
        rows_in=(block.rows - checked.ignored - checked.headers - checked.uncut) * block.cells + checked.uncut,
        kept=checked.ratings.num_rows,
        quarantined=len(checked.bad),
        unrated=checked.unrated,
        ignored=checked.ignored,
        headers=checked.headers,
    )
    accounts.require_balance()
    return accounts


def _file_read(name: str, format: FileFormat, accounts: Accounts, times: str) -> FileRead:
    text = format.kind == "text"
    return FileRead(
        name=name,
        kind=format.kind,
        encoding=None if format.kind == "parquet" else format.encoding,
        separator=format.separator if text else None,
        header=format.header if text else None,
        shape=format.shape,
        accounts=accounts,
        read_as="" if format.kind == "empty" else describe_format(format, times),
        doubts=format.columns.doubts,
    )


def _read_synthetic(source: SyntheticSource, sink: RatingsSink, on_record: Callable[[Any], None] | None) -> FileRead:
    rows = 0
    for batch in source.batches():
        columns = [column.dictionary_encode() if at < 2 else column for at, column in enumerate(batch.columns)]
        sink.add(type(batch).from_arrays(columns, schema=ENCODED_RATINGS))
        rows += batch.num_rows
        if on_record is not None:
            on_record(RowsRead(rows, rows / source.ratings))
    accounts = Accounts(rows_in=source.ratings, kept=rows)
    return FileRead(name=str(source), kind="synthetic", encoding=None, separator=None, header=None, accounts=accounts)
