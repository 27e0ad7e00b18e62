"""Parquet files, batch by batch, each column of the file's own type."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cfmodel.data.formats.column_roles import Columns
from cfmodel.data.formats.distinct_values import is_text
from cfmodel.errors import DataError

_BATCH_ROWS = 262_144
#: Cells of a wide table that are looked at together.
_BATCH_CELLS = 4_000_000
#: What a damaged or hostile file may claim in its metadata before it is no longer believed.
_MOST_METADATA = 64 * 1024 * 1024

_FAULTS = (pa.ArrowException, OSError, ValueError, KeyError, MemoryError, OverflowError)


def names(path: Path) -> list[str]:
    """Return the names of a file's columns.

    Raises:
        DataError: It cannot be read as Parquet.
    """
    try:
        with _open(path) as file:
            found: list[str] = file.schema_arrow.names
            return found
    except _FAULTS as error:
        raise _refusal(path, error) from None


def batches(path: Path, columns: Columns) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Yield the rows of the columns that say something, and the number of rows the file says it has.

    Raises:
        DataError: It cannot be read as Parquet, or holds another number of rows than it says.
    """
    wanted = [columns.names[place] for place in (*columns.roles.values(), *columns.movies)]
    rows = max(1, min(_BATCH_ROWS, _BATCH_CELLS // max(len(columns.movies), 1)))
    read = 0
    try:
        with _open(path) as file:
            total = file.metadata.num_rows
            for batch in file.iter_batches(rows, columns=wanted):
                read += batch.num_rows
                yield pa.record_batch({name: batch.column(name) for name in wanted}), total
    except _FAULTS as error:
        raise _refusal(path, error) from None
    if read != total:
        raise DataError(f"{path.name}: says it has {total:,} rows and has {read:,}; write or fetch it again")


def as_text(batch: pa.RecordBatch, row: int) -> str:
    """Return a row as one JSON object."""
    values = {name: _value(batch.column(name)[row]) for name in batch.schema.names}
    return json.dumps(values, ensure_ascii=False, default=str)


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):  # text that is no UTF-8, a date beyond Python's
        return repr(scalar.cast(pa.binary()).as_py()) if is_text(scalar.type) else str(scalar)


def _open(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(
        path,
        page_checksum_verification=True,
        thrift_string_size_limit=_MOST_METADATA,
        thrift_container_size_limit=_MOST_METADATA,
    )


def _refusal(path: Path, error: BaseException) -> DataError:
    message = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError(f"{path.name}: cannot be read as Parquet ({message}); write or fetch it again")
