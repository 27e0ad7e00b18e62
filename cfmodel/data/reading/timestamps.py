"""Timestamps of any type as seconds since 1970-01-01 UTC."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cfmodel.config import IngestSettings
from cfmodel.data.formats.distinct_values import Distinct, Mask, is_text, nulls
from cfmodel.data.reading.parse_values import moment, seconds

Seconds = npt.NDArray[np.int64]

#: Seconds, which of them are known, which are missing, and what stands in a row.
Moments = tuple[Seconds, Mask, Mask, Callable[[int], Any]]


def seconds_of(column: pa.Array, settings: IngestSettings) -> Moments:
    """Return a column's moments in whole seconds, rounded down; text without a zone is UTC."""
    if pa.types.is_dictionary(column.type) and not is_text(column.type):
        column = column.cast(column.type.value_type)
    if is_text(column.type):
        return _of_text(column, settings)
    absent = nulls(column)
    if pa.types.is_temporal(column.type):
        return _of_clock(column), ~absent, absent, lambda at: column[at]
    if pa.types.is_integer(column.type):
        whole = column.cast(pa.int64(), safe=False).fill_null(0).to_numpy()
        return seconds(whole, settings.timestamp_unit), ~absent, absent, lambda at: column[at].as_py()
    numbers = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
    known = np.abs(numbers) < 2.0**62
    found = seconds(np.where(known, numbers, 0.0), settings.timestamp_unit)
    return found, known, np.isnan(numbers), lambda at: column[at].as_py()


def _of_clock(column: pa.Array) -> Seconds:
    """Read Arrow's own dates and timestamps, which know their unit."""
    if pa.types.is_date32(column.type):
        days: Seconds = column.cast(pa.int32()).fill_null(0).to_numpy().astype(np.int64)
        return days * 86_400
    unit = "ms" if pa.types.is_date64(column.type) else column.type.unit
    return seconds(column.cast(pa.int64()).fill_null(0).to_numpy(), unit)


def _of_text(column: pa.Array, settings: IngestSettings) -> Moments:
    """Read text: all as whole numbers or as one form of ISO 8601, or else one by one."""
    for type, unit in (
        (pa.int64(), settings.timestamp_unit),
        (pa.timestamp("us"), "us"),
        (pa.timestamp("us", "UTC"), "us"),
    ):
        try:
            found = column.cast(pa.string()).cast(type).cast(pa.int64())
        except pa.ArrowInvalid:
            continue
        if not found.null_count and not (settings.missing and pa.types.is_integer(type) and _spelt(settings.missing)):
            all_known, none = np.ones(len(found), bool), np.zeros(len(found), bool)
            return seconds(found.to_numpy(), unit), all_known, none, lambda at: column[at].as_py()
    distinct = Distinct.of(column, trim=True, missing=settings.missing)
    parsed = distinct.parsed(lambda text: moment(text, settings.timestamp_unit))
    known = np.array([value is not None for value in parsed], bool)
    values = np.array([value or 0 for value in parsed], np.int64)
    return values[distinct.place], known[distinct.place], distinct.rows(distinct.missing), distinct.original


def _spelt(missing: tuple[str, ...]) -> bool:
    """Tell whether a number may stand for a missing value."""
    return any(text.lstrip("+-").isdecimal() for text in missing)
