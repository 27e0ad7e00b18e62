"""Files of ratings, read block by block; each block can be checked in a thread of its own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from cfmodel.config import IngestSettings
from cfmodel.data.formats import delimited, jsonlines, parquet
from cfmodel.data.formats.column_roles import Columns, columns_of, names_all_roles
from cfmodel.data.formats.compressed import CompressedFile
from cfmodel.data.formats.encodings import as_utf8
from cfmodel.data.formats.header import fields_of
from cfmodel.data.formats.raw_rows import BadRow, CheckedRows, Numbers, RawRows, shorten
from cfmodel.data.formats.record_ends import RecordBlock, split_into_records
from cfmodel.data.formats.reshape import as_rows
from cfmodel.data.formats.sniff import FileFormat
from cfmodel.data.formats.wide import melt_wide
from cfmodel.data.reading.check_rows import check_rows
from cfmodel.errors import DataError
from cfmodel.schema import ENCODED_RATINGS, USER_ID


@dataclass(frozen=True)
class UncheckedBlock:
    """A block of rows that are not checked yet.

    Attributes:
        check: Parses and checks the rows.
        rows: Number of rows by the file's bytes or metadata, comments included.
        cells: Ratings that a row can hold: 1, or the number of movies of a wide table.
        share: Share of the file read up to this block, in [0, 1].
    """

    check: Callable[[], CheckedRows]
    rows: int
    cells: int
    share: float


def read_blocks(
    path: Path, format: FileFormat, settings: IngestSettings, *, rows_before: int = 0
) -> Iterator[UncheckedBlock]:
    """Yield a file's rows, block by block.

    Args:
        rows_before: Rows in the files before this one, so that new users of a wide table get new numbers.

    Raises:
        DataError: The file cannot be read or lacks a column.
    """
    return READERS[format.kind](_File(path, format, settings, rows_before))


@dataclass(frozen=True)
class _File:
    """One file to read; the fields are the arguments of `read_blocks`."""

    path: Path
    format: FileFormat
    settings: IngestSettings
    rows_before: int

    @property
    def columns(self) -> Columns:
        return self.format.columns

    @property
    def cells(self) -> int:
        return max(len(self.columns.movies), 1)

    def by_index(self, batch: pa.RecordBatch) -> dict[int, pa.Array]:
        """Return the columns of a batch by their index in the file."""
        used = (*self.columns.roles.values(), *self.columns.movies)
        return {index: batch.column(self.columns.names[index]) for index in used}

    def check(
        self,
        fields: Mapping[int, pa.Array],
        numbers: Numbers,
        text: Callable[[int], str],
        *,
        bad: Sequence[BadRow] = (),
        ignored: int = 0,
        headers: int = 0,
        trim: bool = False,
        replaced: bool = False,
    ) -> CheckedRows:
        """Check rows given by the index of their columns; those of a wide table become one row per rating."""
        roles = {role: fields[index] for role, index in self.columns.roles.items()}
        if not self.columns.movies:
            raw = RawRows(pa.record_batch(roles), numbers, text, trim, replaced, tuple(bad), ignored, headers=headers)
            return check_rows(raw, self.settings, file=self.path.name)
        users = roles.get(USER_ID, pa.array(numbers + self.rows_before).cast(pa.string()))
        cells = {movie: fields[index] for index, movie in self.columns.movies.items()}
        batch, row, unrated = melt_wide(users, cells, missing=self.settings.missing)
        texts = lambda at: text(int(row[at]))  # noqa: E731
        raw = RawRows(batch, numbers[row], texts, trim, replaced, tuple(bad), ignored, headers, unrated)
        return check_rows(raw, self.settings, file=self.path.name)


def _check_text(file: _File, block: RecordBlock, first_row: int) -> CheckedRows:
    batch, rows, bad, ignored, headers = delimited.parse_records(
        block,
        file.columns,
        file.format.separator,
        header=file.format.header_text.encode(),
        ruler=file.format.ruler.encode(),
        file=file.path.name,
        first_row=first_row,
    )
    checked = file.check(
        {int(name): column for name, column in zip(batch.schema.names, batch.columns, strict=True)},
        rows + first_row,
        lambda at: delimited.record_text(block, int(rows[at])),
        bad=bad,
        ignored=ignored,
        headers=headers,
        trim=True,
        replaced=delimited.has_invalid_utf8(block),
    )
    _refuse_other_header(file, checked.bad)
    return checked


def _refuse_other_header(file: _File, bad: Sequence[BadRow]) -> None:
    """Refuse files that were joined although their columns are in different orders: no row below would be right.

    Raises:
        DataError: A bad row is a header with the columns in other places than the file has them.
    """
    for row in bad:
        if any(map(str.isdecimal, row.text)) or not names_all_roles(
            names := fields_of(row.text, file.format.separator)
        ):
            continue
        with suppress(DataError):
            if columns_of(names, file.settings, file=file.path.name).roles == file.columns.roles:
                continue
        if not file.columns.movies:
            its_own = "" if file.format.header else "write a header above the first row, "
            raise DataError(
                f"{file.path.name}, row {row.number:,}: is another header, {row.text[:80]!r}, so the rows below it "
                f"have their columns in other places; {its_own}write the other header and the rows below it to a file "
                f"of their own, and give the folder of both"
            )


def _check_json_lines(file: _File, block: RecordBlock, first_row: int) -> CheckedRows:
    lines = [block.data[start:end] for start, end in zip(*block.spans, strict=True)]
    batch, rows, bad, blank = jsonlines.parse_lines(lines, file.columns, first_row=first_row)
    return file.check(
        file.by_index(batch),
        np.array(rows, np.int64) + first_row,
        lambda at: shorten(lines[rows[at]].decode(errors="replace")),
        bad=bad,
        ignored=blank,
    )


def _read_records(
    file: _File, check: Callable[[_File, RecordBlock, int], CheckedRows], *, separator: str | None
) -> Iterator[UncheckedBlock]:
    name, format, first_row = file.path.name, file.format, 1
    with CompressedFile(file.path, format.compression) as stream:
        blocks = _skip_bytes(stream.blocks(), format.mark_bytes)
        lines = _skip_lines(as_utf8(blocks, format.encoding, file=name), format.skipped_lines)
        for block in split_into_records(as_rows(lines, format.shape, format.separator, file=name), separator):
            rows = len(block.spans[0]) if block.fault is None else 1
            if rows:
                checks = partial(check if block.fault is None else _check_unreadable, file, block, first_row)
                yield UncheckedBlock(checks, rows, file.cells, stream.share)
            first_row += rows
        if format.rows not in (None, first_row - 1):
            raise DataError(
                f"{name}: has {first_row - 1:,} rows where its first lines say {format.rows:,}; write or download it "
                f"again"
            )


def _check_unreadable(file: _File, block: RecordBlock, number: int) -> CheckedRows:  # noqa: ARG001 - as the others
    none = pa.RecordBatch.from_pylist([], schema=ENCODED_RATINGS)
    return CheckedRows(none, (delimited.unreadable_row(block, number),), uncut=1)


def _read_parquet(file: _File) -> Iterator[UncheckedBlock]:
    rows = 0
    for batch, total in parquet.read_batches(file.path, file.columns):
        check = partial(_check_parquet, file, batch, rows + 1)
        rows += batch.num_rows
        yield UncheckedBlock(check, batch.num_rows, file.cells, rows / max(total, 1))


def _check_parquet(file: _File, batch: pa.RecordBatch, first_row: int) -> CheckedRows:
    numbers = np.arange(first_row, first_row + batch.num_rows)
    columns = file.columns
    fields = dict(zip((*columns.roles.values(), *columns.movies), batch.columns, strict=True))
    return file.check(fields, numbers, lambda at: shorten(parquet.row_as_json(batch, at)))


#: The reader of each kind of file.
READERS: dict[str, Callable[[_File], Iterator[UncheckedBlock]]] = {
    "text": lambda file: _read_records(file, _check_text, separator=delimited.quoting(file.format.separator)),
    "jsonl": lambda file: _read_records(file, _check_json_lines, separator=None),
    "parquet": _read_parquet,
    "empty": lambda file: iter(()),  # noqa: ARG005 - as the others
}


def _skip_bytes(blocks: Iterator[bytes], count: int) -> Iterator[bytes]:
    for block in blocks:
        yield block[count:]
        count = max(0, count - len(block))


def _skip_lines(blocks: Iterator[bytes], count: int) -> Iterator[bytes]:
    for block in blocks:
        while count and block:
            _, newline, block = block.partition(b"\n")
            count -= bool(newline)
        if block:
            yield block
