"""Delimited text such as CSV and TSV. Columns are read as bytes, so that ids are not parsed as numbers."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from cfmodel.data.formats.column_roles import Columns
from cfmodel.data.formats.header import BLANKS, COMMENT, is_no_row
from cfmodel.data.formats.raw_rows import REMEDY, BadRow, Numbers, shorten
from cfmodel.data.formats.record_ends import RecordBlock, without_blanks_before_quotes
from cfmodel.errors import DataError
from cfmodel.schema import TIMESTAMP, USER_ID

#: Replaces separators of several bytes, which pyarrow cannot take: the ASCII unit separator.
_UNIT_SEPARATOR = "\x1f"
#: A count of rows below a table, which must not be cut into columns.
_COUNT = re.compile(rb"^[ \t]*\(\d+ rows? affected\)[ \t]*$", re.MULTILINE)
_BLANK = pa.array([b" " * length for length in range(20)], pa.binary())
_AROUND_A_LINE = re.compile(rb"^[ \t]+(?=[^ \t\n])|(?<=[^ \t\n])[ \t]+$", re.MULTILINE)
_QUOTED_OR_BLANKS = re.compile(rb'(?<![^ \t\n])"((?:[^"\n]++|"")*+)"(?![^ \t\n])|[ \t]+')


def parse_records(
    block: RecordBlock,
    columns: Columns,
    separator: str,
    *,
    header: bytes = b"",
    ruler: bytes = b"",
    file: str,
    first_row: int,
) -> tuple[pa.RecordBatch, Numbers, list[BadRow], int, int]:
    """Split records into fields.

    Args:
        header: The header row; a record that is the same is left out.
        ruler: The line drawn below it; so is a record that is the same.
        first_row: Number of the block's first record in its file.

    Returns:
        The fields, named by the index of their column; the index of each row among the records; the
        records with a wrong number of fields; how many records are comments or blank; and how many are
        the header once more.

    Raises:
        DataError: pyarrow cannot use the separator.
    """
    records = len(block.spans[0])
    invalid: list[csv.InvalidRow] = []

    def skip(row: csv.InvalidRow) -> str:
        invalid.append(row)
        return "skip"

    data, delimiter, quoted = _with_one_byte(_valid_utf8(block.data), separator)
    wanted = {str(place): role for role, place in columns.roles.items()} | {str(place): "" for place in columns.movies}
    try:
        table = csv.read_csv(
            pa.BufferReader(data),
            # pyarrow only numbers invalid rows with one thread. Blocks are read in parallel instead.
            csv.ReadOptions(
                column_names=[str(place) for place in range(len(columns.names))],
                use_threads=False,
                block_size=len(data) + 1,
            ),
            csv.ParseOptions(
                delimiter=delimiter,
                quote_char='"' if quoted else False,
                newlines_in_values=quoted,
                invalid_row_handler=skip,
            ),
            csv.ConvertOptions(
                column_types={place: _type(role) for place, role in wanted.items()},
                include_columns=list(wanted),
                strings_can_be_null=False,
                check_utf8=False,
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise DataError(
            f"{file}: cannot be read as fields separated by {separator!r}: {error}; set ingest.separator to another "
            f"text"
        ) from None
    rows = np.delete(np.arange(records), [row.number - 1 for row in invalid])
    if len(rows) != table.num_rows:
        raise AssertionError(f"{file}: {records:,} records, but {table.num_rows:,} rows and {len(invalid):,} invalid")
    heads, rulers = _same_as(block, header), _same_as(block, ruler)
    others = [row for row in invalid if row.number - 1 not in heads | rulers]
    bad = [_bad_row(record_text(block, row.number - 1), first_row, row) for row in others]
    found = [row for row in bad if row is not None]
    batches = table.combine_chunks().to_batches()
    batch = batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
    empty = [*_rows_of_separators(block, batch, rows, str(columns.roles.get(USER_ID)), separator), *rulers]
    if heads or empty:
        kept = ~np.isin(rows, [*heads, *empty])
        batch, rows = batch.filter(pa.array(kept)), rows[kept]
    return batch, rows, found, len(bad) - len(found) + len(empty), len(heads)


def quoting(separator: str) -> str | None:
    """Return the separator if quotes around a field may hold separators and line ends; else None."""
    return separator if len(separator.encode()) == 1 and separator != BLANKS else None


def has_invalid_utf8(block: RecordBlock) -> bool:
    """Return whether some of a block's bytes are not valid UTF-8."""
    return _valid_utf8(block.data) is not block.data


def _same_as(block: RecordBlock, header: bytes) -> set[int]:
    """Return the index of each record that is the header once more, as in files that were joined."""
    if not header or header not in block.data:
        return set()
    pattern = re.compile(rb"(?:\A|(?<=\n))%b(?=[ \t]*\n)" % re.escape(header))
    at = np.array([found.start() for found in pattern.finditer(block.data)], np.int64)
    starts, _ = block.spans
    return set(np.flatnonzero(np.isin(starts, at)).tolist())


def _rows_of_separators(
    block: RecordBlock, batch: pa.RecordBatch, rows: Numbers, users: str, separator: str
) -> list[int]:
    """Return the index of each record that holds separators alone, as a sheet's empty rows do."""
    if users not in batch.schema.names:
        return []
    column = batch.column(users)
    blank = np.flatnonzero(pc.is_in(column.dictionary, value_set=_BLANK).to_numpy(zero_copy_only=False))
    without = rows[np.isin(column.indices.to_numpy(), blank)].tolist() if len(blank) else []
    return [at for at in without if not record_text(block, at).replace(separator, "").strip(' "\t')]


def _with_one_byte(data: bytes, separator: str) -> tuple[bytes, str, bool]:
    """Return records as pyarrow can cut them: with one byte between two fields, that byte, and whether quotes count."""
    if separator == BLANKS:
        apart = _UNIT_SEPARATOR.encode()
        data = _AROUND_A_LINE.sub(b"", _COUNT.sub(b"()", data))
        if b'"' not in data:
            return re.sub(rb"[ \t]+", apart, data), _UNIT_SEPARATOR, False
        data = _QUOTED_OR_BLANKS.sub(lambda at: apart if at[1] is None else at[1].replace(b'""', b'"') or b" ", data)
        return data, _UNIT_SEPARATOR, False
    if len(separator.encode()) > 1:
        return data.replace(separator.encode(), _UNIT_SEPARATOR.encode()), _UNIT_SEPARATOR, False
    if quoting(separator) is None or b'"' not in data:
        return data, separator, False
    return without_blanks_before_quotes(data, separator), separator, True


def _valid_utf8(data: bytes) -> bytes:
    """Return the bytes with U+FFFD in place of those that are not valid UTF-8."""
    if data.isascii():
        return data
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode(errors="replace").encode()
    return data


def record_text(block: RecordBlock, index: int) -> str:
    """Return the text of one record, cut if it is very long."""
    starts, ends = block.spans
    return shorten(block.data[starts[index] : ends[index]].decode(errors="replace"))


def unreadable_row(block: RecordBlock, number: int) -> BadRow:
    """Return a block with a fault as one bad row."""
    assert block.fault is not None
    text = block.data.decode(errors="replace")
    return BadRow(number, block.fault, f"{block.fault}: {text[:80]!r}; {REMEDY}", shorten(text))


def _type(role: str) -> pa.DataType:
    # Ids and ratings recur, so that a dictionary saves memory and work; timestamps hardly do.
    return pa.binary() if role == TIMESTAMP else pa.dictionary(pa.int32(), pa.binary())


def _bad_row(text: str, first_row: int, row: csv.InvalidRow) -> BadRow | None:
    """Return a record with a wrong number of fields as a bad row; None if it is a comment, blank, or no row."""
    if not text.strip() or text.lstrip().startswith(COMMENT) or is_no_row(text):
        return None
    number = first_row + row.number - 1
    detail = f"{row.actual_columns} fields where {row.expected_columns} are expected: {text[:80]!r}; {REMEDY}"
    return BadRow(number, "row has another number of fields", detail, text)
