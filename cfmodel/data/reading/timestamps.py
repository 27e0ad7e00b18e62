"""Timestamps: convert columns of any type to seconds since 1970-01-01 UTC."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cfmodel.config import IngestSettings
from cfmodel.data.formats.distinct_values import DistinctValues, Mask, is_text, null_rows
from cfmodel.data.reading.parse_values import parse_timestamp, to_seconds

_Seconds = npt.NDArray[np.int64]

#: Seconds, which of them are valid, which are missing, and a lookup of the original values.
_Timestamps = tuple[_Seconds, Mask, Mask, Callable[[int], Any]]


def read_timestamps(column: pa.Array, settings: IngestSettings) -> _Timestamps:
    """Return a column's times in whole seconds, rounded down; text without a time zone is UTC."""
    if pa.types.is_dictionary(column.type) and not is_text(column.type):
        column = column.cast(column.type.value_type)
    if is_text(column.type):
        return _from_text(column, settings)
    absent = null_rows(column)
    if pa.types.is_temporal(column.type):
        return _from_temporal(column), ~absent, absent, lambda at: column[at]
    if pa.types.is_integer(column.type):
        whole = column.cast(pa.int64(), safe=False).fill_null(0).to_numpy()
        return to_seconds(whole, settings.timestamp_unit), ~absent, absent, lambda at: column[at].as_py()
    numbers = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
    known = np.abs(numbers) < 2.0**62
    found = to_seconds(np.where(known, numbers, 0.0), settings.timestamp_unit)
    return found, known, np.isnan(numbers), lambda at: column[at].as_py()


def _from_temporal(column: pa.Array) -> _Seconds:
    """Convert Arrow's dates and timestamps, whose unit is known."""
    if pa.types.is_date32(column.type):
        days: _Seconds = column.cast(pa.int32()).fill_null(0).to_numpy().astype(np.int64)
        return days * 86_400
    unit = "ms" if pa.types.is_date64(column.type) else column.type.unit
    return to_seconds(column.cast(pa.int64()).fill_null(0).to_numpy(), unit)


def _from_text(column: pa.Array, settings: IngestSettings) -> _Timestamps:
    """Convert text: the whole column as integers or as ISO 8601 if Arrow can, else each distinct value."""
    for type, unit in (
        (pa.int64(), settings.timestamp_unit),
        (pa.timestamp("us"), "us"),
        (pa.timestamp("us", "UTC"), "us"),
    ):
        try:
            found = column.cast(pa.string()).cast(type).cast(pa.int64())
        except pa.ArrowInvalid:
            continue
        if not found.null_count and not (
            settings.missing and pa.types.is_integer(type) and _has_number(settings.missing)
        ):
            all_known, none = np.ones(len(found), bool), np.zeros(len(found), bool)
            return to_seconds(found.to_numpy(), unit), all_known, none, lambda at: column[at].as_py()
    distinct = DistinctValues.of(column, trim=True, missing=settings.missing)
    parsed = distinct.parse(lambda text: parse_timestamp(text, settings.timestamp_unit))
    known = np.array([value is not None for value in parsed], bool)
    values = np.array([value or 0 for value in parsed], np.int64)
    return values[distinct.index], known[distinct.index], distinct.rows(distinct.missing), distinct.original


def _has_number(missing: tuple[str, ...]) -> bool:
    """Return whether a number stands for a missing value."""
    return any(text.lstrip("+-").isdecimal() for text in missing)
