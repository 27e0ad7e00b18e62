"""Read files of ratings block by block: calls that judge a block's rows, each free to run beside the others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from cfmodel.config import IngestSettings
from cfmodel.data.formats import delimited, jsonlines, parquet
from cfmodel.data.formats.column_roles import Columns, columns_of
from cfmodel.data.formats.compressed import PackedFile
from cfmodel.data.formats.encodings import as_utf8
from cfmodel.data.formats.raw_rows import BadRow, Judged, Numbers, Raw, shortened
from cfmodel.data.formats.record_ends import Block, blocks_of_records
from cfmodel.data.formats.sniff import Shape
from cfmodel.data.formats.wide import melted
from cfmodel.data.reading.check_rows import judge
from cfmodel.schema import USER_ID


@dataclass(frozen=True)
class Job:
    """A block of rows that are still to be judged.

    Attributes:
        judged: Judges them.
        rows: How many there are as counted in the file's bytes or metadata, comments included.
        cells: Ratings that a row can hold: 1, or the movies of a wide table.
        share: How much of the file was read with it, in [0, 1].
    """

    judged: Callable[[], Judged]
    rows: int
    cells: int
    share: float


def jobs(path: Path, shape: Shape, settings: IngestSettings, *, rows_before: int = 0) -> Iterator[Job]:
    """Yield a file's rows, block by block.

    Args:
        path: The file.
        shape: What it looks like.
        settings: What is missing, what is no rating, which ratings are allowed.
        rows_before: Rows of the files read before it: they number users that have no other name.

    Raises:
        DataError: The file cannot be read or has no such columns.
    """
    reader = _Reader(path.name, shape.columns, settings, rows_before)
    if shape.kind == "parquet":
        yield from _parquet_jobs(path, reader)
        return
    with PackedFile(path, shape.compression) as stream:
        blocks = _without_start(stream.blocks(), shape.mark_bytes)
        lines = _without_lines(as_utf8(blocks, shape.encoding, file=path.name), shape.skipped_lines)
        first_row = 1
        for block in blocks_of_records(lines, shape.separator if shape.kind == "text" else None):
            rows = len(block.spans[0]) if block.fault is None else 1
            parse = reader.text if shape.kind == "text" else reader.jsonl
            judged = partial(parse, block, first_row, shape.separator)
            if rows:
                cells = max(len(shape.columns.movies), 1)
                yield Job(
                    judged if block.fault is None else partial(_faulty, block, first_row), rows, cells, stream.share
                )
            first_row += rows


@dataclass(frozen=True)
class _Reader:
    """How the rows of one file are read."""

    file: str
    columns: Columns
    settings: IngestSettings
    rows_before: int

    def text(self, block: Block, first_row: int, separator: str) -> Judged:
        """Judge delimited text."""
        columns, file = self.columns, self.file
        batch, places, bad, ignored = delimited.parsed(block, columns, separator, file=file, first_row=first_row)
        return self._judged(
            {int(name): column for name, column in zip(batch.schema.names, batch.columns, strict=True)},
            places + first_row,
            lambda at: delimited.record(block, int(places[at])),
            bad=bad,
            ignored=ignored,
            trim=True,
            replaced=delimited.is_garbled(block),
        )

    def jsonl(self, block: Block, first_row: int, separator: str) -> Judged:  # noqa: ARG002 - as for text
        """Judge JSON lines."""
        starts, ends = block.spans
        lines = [block.data[start:end] for start, end in zip(starts, ends, strict=True)]
        batch, places, bad, blank = jsonlines.parsed(lines, self.columns, first_row=first_row)
        return self._judged(
            self._by_place(batch),
            np.array(places, np.int64) + first_row,
            lambda at: shortened(lines[places[at]].decode(errors="replace")),
            bad=bad,
            ignored=blank,
        )

    def parquet(self, batch: pa.RecordBatch, first_row: int) -> Judged:
        """Judge rows of a Parquet file."""
        numbers = np.arange(first_row, first_row + batch.num_rows)
        return self._judged(self._by_place(batch), numbers, lambda at: shortened(parquet.as_text(batch, at)))

    def _by_place(self, batch: pa.RecordBatch) -> dict[int, pa.Array]:
        places = (*self.columns.roles.values(), *self.columns.movies)
        return {place: batch.column(self.columns.names[place]) for place in places}

    def _judged(
        self,
        fields: Mapping[int, pa.Array],
        numbers: Numbers,
        text: Callable[[int], str],
        *,
        bad: Sequence[BadRow] = (),
        ignored: int = 0,
        trim: bool = False,
        replaced: bool = False,
    ) -> Judged:
        roles = {role: fields[place] for role, place in self.columns.roles.items()}
        if not self.columns.movies:
            return judge(
                Raw(pa.record_batch(roles), numbers, text, trim, replaced, tuple(bad), ignored),
                self.settings,
                file=self.file,
            )
        users = roles.get(USER_ID, pa.array(numbers + self.rows_before).cast(pa.string()))
        cells = {movie: fields[place] for place, movie in self.columns.movies.items()}
        batch, row, unrated = melted(users, cells, missing=self.settings.missing)
        raw = Raw(batch, numbers[row], lambda at: text(int(row[at])), trim, replaced, tuple(bad), ignored, unrated)
        return judge(raw, self.settings, file=self.file)


def _parquet_jobs(path: Path, reader: _Reader) -> Iterator[Job]:
    columns = columns_of(parquet.names(path), reader.settings, file=path.name)
    reader = replace(reader, columns=columns)
    read = 0
    for batch, total in parquet.batches(path, columns):
        judged = partial(reader.parquet, batch, read + 1)
        read += batch.num_rows
        yield Job(judged, batch.num_rows, max(len(columns.movies), 1), read / max(total, 1))


def _faulty(block: Block, number: int) -> Judged:
    return Judged.of_bad(delimited.faulty(block, number))


def _without_start(blocks: Iterator[bytes], count: int) -> Iterator[bytes]:
    for block in blocks:
        yield block[count:]
        count = max(0, count - len(block))


def _without_lines(blocks: Iterator[bytes], count: int) -> Iterator[bytes]:
    for block in blocks:
        while count and block:
            _, newline, block = block.partition(b"\n")
            count -= bool(newline)
        if block:
            yield block
