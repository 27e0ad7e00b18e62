"""Delimited text such as CSV and TSV. Columns are read as bytes, so that ids are not parsed as numbers."""

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from cfmodel.data.formats.column_roles import Columns
from cfmodel.data.formats.header import COMMENT
from cfmodel.data.formats.raw_rows import REMEDY, BadRow, Numbers, shorten
from cfmodel.data.formats.record_ends import RecordBlock
from cfmodel.errors import DataError
from cfmodel.schema import TIMESTAMP

#: Replaces separators of several bytes, which pyarrow cannot take: the ASCII unit separator.
_UNIT_SEPARATOR = "\x1f"


def parse_records(
    block: RecordBlock, columns: Columns, separator: str, *, file: str, first_row: int
) -> tuple[pa.RecordBatch, Numbers, list[BadRow], int]:
    """Split records into fields.

    Args:
        block: Whole records.
        columns: The roles of the columns.
        separator: Text between two fields.
        file: The file's name, for error messages.
        first_row: Number of the block's first record in its file.

    Returns:
        The fields, named by the index of their column; the index of each row among the records; the
        records with a wrong number of fields; and how many records are comments or blank.

    Raises:
        DataError: pyarrow cannot use the separator.
    """
    records = len(block.spans[0])
    invalid: list[csv.InvalidRow] = []

    def skip(row: csv.InvalidRow) -> str:
        invalid.append(row)
        return "skip"

    several = len(separator.encode()) > 1
    data = _valid_utf8(block.data)
    data = data.replace(separator.encode(), _UNIT_SEPARATOR.encode()) if several else data
    quoted = not several and b'"' in data
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
                delimiter=_UNIT_SEPARATOR if several else separator,
                quote_char=False if several else '"',
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
            f"{file}: cannot be read as fields separated by {separator!r}: {error}; set ingest.separator"
        ) from None
    rows = np.delete(np.arange(records), [row.number - 1 for row in invalid])
    if len(rows) != table.num_rows:
        raise AssertionError(f"{file}: {records:,} records, but {table.num_rows:,} rows and {len(invalid):,} invalid")
    bad = [_bad_row(record_text(block, row.number - 1), first_row, row) for row in invalid]
    found = [row for row in bad if row is not None]
    batches = table.combine_chunks().to_batches()
    batch = batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
    return batch, rows, found, len(bad) - len(found)


def has_invalid_utf8(block: RecordBlock) -> bool:
    """Return whether some of a block's bytes are not valid UTF-8."""
    return _valid_utf8(block.data) is not block.data


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
    """Return a record with a wrong number of fields as a bad row; None if it is a comment or blank."""
    if not text.strip() or text.lstrip().startswith(COMMENT):
        return None
    number = first_row + row.number - 1
    detail = f"{row.actual_columns} fields where {row.expected_columns} are expected: {text[:80]!r}; {REMEDY}"
    return BadRow(number, "row has another number of fields", detail, text)
