"""Read a source from its first row to its last, blocks beside each other, and account for every row."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cfmodel.config import IngestSettings
from cfmodel.data.formats.raw_rows import CODED, Judged
from cfmodel.data.formats.sniff import Shape, sniff
from cfmodel.data.ingest.quarantine import Quarantine
from cfmodel.data.ingest.ratings_sink import RatingsSink
from cfmodel.data.reading.read_file import Job, jobs
from cfmodel.data.sources.sources import FilesSource
from cfmodel.data.sources.synthetic import SyntheticSource
from cfmodel.errors import DataError
from cfmodel.refs import Accounts, Ref

#: Threads that judge blocks, and blocks that wait for them or for being written: what bounds memory.
_THREADS = 2
_BLOCKS_AHEAD = 4


@dataclass(frozen=True)
class RowsRead:
    """How far reading has come.

    Attributes:
        rows: Ratings read so far.
        fraction: Share of the source read so far, in [0, 1]; None where it is unknown.
    """

    rows: int
    fraction: float | None


class FileRead(Ref):
    """What a file was taken for, and what became of its rows.

    Attributes:
        name: The file's name, below the folder that all files share.
        kind: `text`, `jsonl` or `parquet`.
        encoding: Encoding of text, None for Parquet.
        separator: Text between two fields, None where there is none.
        header: Whether a row named the columns, None where there is none to do so.
        accounts: What became of its rows, duplicates aside.
    """

    name: str
    kind: str
    encoding: str | None
    separator: str | None
    header: bool | None
    accounts: Accounts


def read_all(
    source: SyntheticSource | FilesSource,
    settings: IngestSettings,
    aside: Quarantine,
    sink: RatingsSink,
    on_record: Callable[[Any], None] | None,
) -> Iterator[FileRead]:
    """Read a source; yield what each file was, once it is read.

    Raises:
        DataError: A file cannot be read, or a bad row is to stop the run.
        AssertionError: A row was lost or made up.
    """
    if isinstance(source, SyntheticSource):
        yield _planted(source, sink, on_record)
        return
    names, sizes = source.names, [path.stat().st_size for path in source.paths]
    kept = rows_before = 0
    for place, (path, shape) in enumerate(_shapes(source, settings)):
        parts: list[Accounts] = []
        try:
            for job, judged in _in_order(jobs(path, shape, settings, rows_before=rows_before)):
                aside.add(names[place], judged.bad)
                sink.add(judged.ratings)
                parts.append(_accounts(job, judged))
                kept += judged.ratings.num_rows
                rows_before += job.rows
                if on_record is not None:
                    read = sum(sizes[:place]) + job.share * sizes[place]
                    on_record(RowsRead(kept, read / max(sum(sizes), 1)))
        except DataError as error:
            raise _among_others(error, source) from None
        yield _file_read(names[place], shape, total(parts))


def total(parts: Iterable[Accounts]) -> Accounts:
    """Add up accounts."""
    listed = list(parts)
    return Accounts(**{name: sum(getattr(part, name) for part in listed) for name in Accounts.model_fields})


def _shapes(source: FilesSource, settings: IngestSettings) -> list[tuple[Path, Shape]]:
    """Look at every file first: one without a header may be a part of one with."""
    try:
        shapes = [sniff(path, settings) for path in source.paths]
        like = next((shape for shape in shapes if shape.header), None)
        if like is not None:
            shapes = [
                shape if shape.kind != "text" or shape.header else sniff(path, settings, like=like)
                for path, shape in zip(source.paths, shapes, strict=True)
            ]
    except DataError as error:
        raise _among_others(error, source) from None
    return list(zip(source.paths, shapes, strict=True))


def _among_others(error: DataError, source: FilesSource) -> DataError:
    """Say which files are read together: a folder or glob may have taken in one that is not of ratings."""
    if len(source.paths) == 1:
        return error
    named = ", ".join(source.names[:8]) + (", ..." if len(source.paths) > 8 else "")
    return DataError(f"{error} (read together: {len(source.paths):,} files, {named})")


def _in_order(waiting: Iterator[Job]) -> Iterator[tuple[Job, Judged]]:
    """Judge blocks beside each other, and yield them in the order of the file."""
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), "ingest") as threads:
        running: deque[tuple[Job, Future[Judged]]] = deque()
        try:
            for job in waiting:
                running.append((job, threads.submit(job.judged)))
                if len(running) >= _BLOCKS_AHEAD:
                    yield _next(running)
            while running:
                yield _next(running)
        finally:
            for _, future in running:
                future.cancel()


def _next(running: "deque[tuple[Job, Future[Judged]]]") -> tuple[Job, Judged]:
    job, future = running.popleft()
    return job, future.result()


def _accounts(job: Job, judged: Judged) -> Accounts:
    """Account for a block; what came in is counted apart from what became of it."""
    accounts = Accounts(
        rows_in=(job.rows - judged.ignored - judged.uncut) * job.cells + judged.uncut,
        kept=judged.ratings.num_rows,
        quarantined=len(judged.bad),
        unrated=judged.unrated,
        ignored=judged.ignored,
    )
    accounts.require_balance()
    return accounts


def _file_read(name: str, shape: Shape, accounts: Accounts) -> FileRead:
    text = shape.kind == "text"
    return FileRead(
        name=name,
        kind=shape.kind,
        encoding=None if shape.kind == "parquet" else shape.encoding,
        separator=shape.separator if text else None,
        header=shape.header if text else None,
        accounts=accounts,
    )


def _planted(source: SyntheticSource, sink: RatingsSink, on_record: Callable[[Any], None] | None) -> FileRead:
    rows = 0
    for batch in source.batches():
        columns = [column.dictionary_encode() if at < 2 else column for at, column in enumerate(batch.columns)]
        sink.add(type(batch).from_arrays(columns, schema=CODED))
        rows += batch.num_rows
        if on_record is not None:
            on_record(RowsRead(rows, rows / source.ratings))
    accounts = Accounts(rows_in=source.ratings, kept=rows)
    return FileRead(name=str(source), kind="synthetic", encoding=None, separator=None, header=None, accounts=accounts)
