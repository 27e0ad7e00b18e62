"""Parquet files, read batch by batch with the file's own column types."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cfmodel.data.formats.column_roles import Columns
from cfmodel.data.formats.distinct_values import is_text
from cfmodel.errors import DataError

_BATCH_ROWS = 262_144
#: Most cells of a wide table in one batch.
_BATCH_CELLS = 4_000_000
#: Limit on sizes in a file's metadata, against damaged and hostile files.
_MOST_METADATA_BYTES = 64 * 1024 * 1024

_FAULTS = (pa.ArrowException, OSError, ValueError, KeyError, MemoryError, OverflowError)


def column_names(path: Path) -> list[str]:
    """Return the names of a file's columns.

    Raises:
        DataError: The file cannot be read as Parquet.
    """
    try:
        with _open(path) as file:
            found: list[str] = file.schema_arrow.names
            return found
    except _FAULTS as error:
        raise _refusal(path, error) from None


def read_batches(path: Path, columns: Columns) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Yield the columns of roles and movies, in that order, with the file's number of rows by its metadata.

    Raises:
        DataError: The file cannot be read as Parquet, or its metadata give a wrong number of rows.
    """
    places = (*columns.roles.values(), *columns.movies)
    wanted = [columns.names[place] for place in places]
    # Columns of the same name are read together, in the order of the file.
    before = Counter[str]()
    twin_of = []
    for name in columns.names:
        twin_of.append(before[name])
        before[name] += 1
    twins = [twin_of[place] for place in places]
    rows = max(1, min(_BATCH_ROWS, _BATCH_CELLS // max(len(columns.movies), 1)))
    read = 0
    try:
        with _open(path) as file:
            total = file.metadata.num_rows
            batches = file.iter_batches(rows, columns=wanted)
            if any(file.schema.column(at).physical_type == "INT96" for at in range(len(file.schema.names))):
                batches = _with_all_moments(batches, path, rows, wanted)
            for batch in batches:
                read += batch.num_rows
                found = map(batch.schema.get_all_field_indices, wanted)
                yield batch.select([same[twin] for same, twin in zip(found, twins, strict=True)]), total
    except _FAULTS as error:
        raise _refusal(path, error) from None
    if read != total:
        raise DataError(f"{path.name}: has {read:,} rows where its metadata say {total:,}; write or download it again")


def _with_all_moments(
    batches: Iterator[pa.RecordBatch], path: Path, rows: int, wanted: list[str]
) -> Iterator[pa.RecordBatch]:
    """Yield batches with microseconds where INT96 holds a moment that nanoseconds would make another one."""
    with _open(path, int96_unit="us") as file:
        for exact, coarse in zip(batches, file.iter_batches(rows, columns=wanted), strict=True):
            same = [left.type == right.type or _agree(left, right) for left, right in zip(exact, coarse, strict=True)]
            yield exact if all(same) else coarse


def _agree(nanoseconds: pa.Array, microseconds: pa.Array) -> bool:
    whole = nanoseconds.cast(pa.int64()).fill_null(0).to_numpy() // 1000
    return bool((whole == microseconds.cast(pa.int64()).fill_null(0).to_numpy()).all())


def row_as_json(batch: pa.RecordBatch, row: int) -> str:
    """Return a row as one JSON object."""
    values = {name: _value(batch.column(name)[row]) for name in batch.schema.names}
    return json.dumps(values, ensure_ascii=False, default=str)


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):  # text that is not valid UTF-8, or a date beyond Python's
        return repr(scalar.cast(pa.binary()).as_py()) if is_text(scalar.type) else str(scalar)


def _open(path: Path, *, int96_unit: str = "ns") -> pq.ParquetFile:
    return pq.ParquetFile(
        path,
        coerce_int96_timestamp_unit=int96_unit,
        page_checksum_verification=True,
        thrift_string_size_limit=_MOST_METADATA_BYTES,
        thrift_container_size_limit=_MOST_METADATA_BYTES,
    )


def _refusal(path: Path, error: BaseException) -> DataError:
    message = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError(f"{path.name}: cannot be read as Parquet ({message}); write or download it again")
