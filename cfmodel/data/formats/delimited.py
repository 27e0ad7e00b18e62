"""CSV, TSV and their like: every column as bytes, so that no id is taken for a number."""

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv

from cfmodel.data.formats.column_roles import Columns
from cfmodel.data.formats.header import COMMENT
from cfmodel.data.formats.raw_rows import REMEDY, BadRow, Numbers, shortened
from cfmodel.data.formats.record_ends import Block
from cfmodel.errors import DataError
from cfmodel.schema import TIMESTAMP

#: Stands in for separators of several bytes: the ASCII unit separator, made for that.
_UNIT_SEPARATOR = "\x1f"


def parsed(
    block: Block, columns: Columns, separator: str, *, file: str, first_row: int
) -> tuple[pa.RecordBatch, Numbers, list[BadRow], int]:
    """Cut records into fields.

    Args:
        block: Whole records that are not empty.
        columns: Which column says what.
        separator: Text between two fields.
        file: The file's name, for the refusals.
        first_row: Number of the block's first record in its file.

    Returns:
        The fields by the place of their columns; the place of each row among the records; the records
        with another number of fields; and how many records are comments or blank.

    Raises:
        DataError: The separator is one that cuts nothing.
    """
    records = len(block.spans[0])
    invalid: list[csv.InvalidRow] = []

    def aside(row: csv.InvalidRow) -> str:
        invalid.append(row)
        return "skip"

    several = len(separator.encode()) > 1
    data = _readable(block.data)
    data = data.replace(separator.encode(), _UNIT_SEPARATOR.encode()) if several else data
    quoted = not several and b'"' in data
    wanted = {str(place): role for role, place in columns.roles.items()} | {str(place): "" for place in columns.movies}
    try:
        table = csv.read_csv(
            pa.BufferReader(data),
            # One thread: only then a refused row knows its number. Blocks are read beside each other.
            csv.ReadOptions(
                column_names=[str(place) for place in range(len(columns.names))],
                use_threads=False,
                block_size=len(data) + 1,
            ),
            csv.ParseOptions(
                delimiter=_UNIT_SEPARATOR if several else separator,
                quote_char=False if several else '"',
                newlines_in_values=quoted,
                invalid_row_handler=aside,
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
    refused = np.array([row.number - 1 for row in invalid], np.int64)
    places = np.delete(np.arange(records), refused)
    if len(places) != table.num_rows:
        raise AssertionError(f"{file}: {records:,} records, but {table.num_rows:,} rows and {len(refused):,} refused")
    bad = [_bad(record(block, row.number - 1), first_row, row) for row in invalid]
    found = [row for row in bad if row is not None]
    batches = table.combine_chunks().to_batches()
    batch = batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)
    return batch, places, found, len(bad) - len(found)


def is_garbled(block: Block) -> bool:
    """Tell whether some of a block's bytes are no UTF-8."""
    return _readable(block.data) is not block.data


def _readable(data: bytes) -> bytes:
    """Return bytes that are UTF-8, the replacement character in place of what is none."""
    if data.isascii():
        return data
    try:
        data.decode()
    except UnicodeDecodeError:
        return data.decode(errors="replace").encode()
    return data


def record(block: Block, place: int) -> str:
    """Return a record as the file has it."""
    starts, ends = block.spans
    return shortened(block.data[starts[place] : ends[place]].decode(errors="replace"))


def faulty(block: Block, number: int) -> BadRow:
    """Return the row that a block with a fault is."""
    assert block.fault is not None
    text = block.data.decode(errors="replace")
    return BadRow(number, block.fault, f"{block.fault}: {text[:80]!r}; {REMEDY}", shortened(text))


def _type(role: str) -> pa.DataType:
    # Moments hardly recur; the others do, and are then held and looked at once.
    return pa.binary() if role == TIMESTAMP else pa.dictionary(pa.int32(), pa.binary())


def _bad(text: str, first_row: int, row: csv.InvalidRow) -> BadRow | None:
    """Return a record with another number of fields as a bad row, None where it is a comment or blank."""
    if not text.strip() or text.lstrip().startswith(COMMENT):
        return None
    number = first_row + row.number - 1
    said = f"{row.actual_columns} fields where {row.expected_columns} are expected: {text[:80]!r}; {REMEDY}"
    return BadRow(number, "row has another number of fields", said, text)
