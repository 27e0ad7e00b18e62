"""Timestamps: convert columns of any type to nanoseconds since 1970-01-01 UTC."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cfmodel.config import IngestSettings
from cfmodel.data.formats.distinct_values import DistinctValues, Mask, is_text, null_rows
from cfmodel.data.reading.parse_values import (
    MOST_NANOSECONDS,
    NANOSECONDS,
    Integers,
    parse_number,
    parse_timestamp,
    to_nanoseconds,
    unit_of,
)
from cfmodel.data.reading.time_formats import format_of_digits, parse_by_format, propose_formats, read_as_dates

_UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_DAY = 86_400 * NANOSECONDS["s"]
#: Nobody rated before the first or after the last of these years. From 1995 on for numbers so large that they count
#: as milliseconds or finer: as such, .NET's ticks are in 1990 and Windows' file times in 1974.
_FIRST_YEAR, _FIRST_FINE_YEAR, _LAST_YEAR = 1980, 1995, 2059
#: Share of the numbers that must read as dates before they are taken for dates.
_MOSTLY = 0.9
#: Numbers that are looked at first: a whole column that reads as dates does so here.
_SAMPLE = 1000


@dataclass(frozen=True, eq=False)
class Moments:
    """The times of a column.

    Attributes:
        nanoseconds: Since 1970-01-01 UTC, shape (N,).
        known: Which rows hold a time, shape (N,).
        missing: Which rows hold nothing, shape (N,).
        odd: Which rows hold a number that is a time nobody can have rated at, shape (N,).
        original: Returns a row's value as the file holds it.
        form: What the times are written as, such as `milliseconds`.
    """

    nanoseconds: Integers
    known: Mask
    missing: Mask
    odd: Mask
    original: Callable[[int], Any]
    form: str


def read_timestamps(column: pa.Array, settings: IngestSettings) -> Moments:
    """Return a column's times; text without a time zone is UTC."""
    if pa.types.is_dictionary(column.type) and not is_text(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_temporal(column.type):
        return _from_temporal(column)
    if settings.timestamp_format is not None:
        return _from_format(column, settings, settings.timestamp_format)
    if pa.types.is_decimal(column.type) or pa.types.is_uint64(column.type):
        column = column.cast(pa.string())  # exact, as int64 and float64 may not be
    if is_text(column.type):
        return _from_text(column, settings)
    absent, unit = null_rows(column), settings.timestamp_unit
    if pa.types.is_integer(column.type):
        return _from_numbers(column.cast(pa.int64()).fill_null(0).to_numpy(), absent, unit, _lookup(column))
    numbers = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
    absent = np.isnan(numbers)
    known = np.abs(numbers) < 2.0**62
    found = _from_numbers(np.where(known, numbers, 0.0), absent, unit, _lookup(column))
    return Moments(found.nanoseconds, found.known & known, absent, found.odd & known, found.original, found.form)


def question(value: Any, unit: str | None) -> str:
    """Return what is odd about a numeric timestamp, and the setting for what it may be instead."""
    number = float(str(value).replace(",", "."))
    read_in = unit or unit_of(number)
    year = _year(number, read_in)
    found = f"timestamp {value} would be in the year {year} as {_UNITS[read_in]}"
    insist = "" if unit or abs(year) > 2261 else f"; if that is right, --set ingest.timestamp_unit={read_in}"
    if number.is_integer() and (format := format_of_digits(int(number))):
        return f"{found}, but reads as a date: --set ingest.timestamp_format='{format}'{insist}"
    fitting = [other for other in NANOSECONDS if _FIRST_YEAR <= _year(number, other) <= _LAST_YEAR]
    if fitting:
        other = fitting[0]
        return f"{found}, and in {_year(number, other)} as {_UNITS[other]}: --set ingest.timestamp_unit={other}"
    return f"{found}{insist}"


def unreadable(value: Any, others: Sequence[Any], settings: IngestSettings) -> str:
    """Return that a value is not a time, and the setting of a format that fits it and most other values."""
    if settings.timestamp_format is not None:
        expected = f"does not fit ingest.timestamp_format, {settings.timestamp_format!r}"
    else:
        expected = "is not a time in seconds or ISO 8601 in the years 1678 to 2261"
    texts = [str(other).strip() for other in others]
    formats = propose_formats(str(value).strip(), texts) if type(value) is str else []
    formats = [format for format in formats if format != settings.timestamp_format]
    proposed = " or ".join(f"--set ingest.timestamp_format='{format}'" for format in formats)
    either = " (day or month first)" if len(formats) > 1 else ""
    if proposed or type(value) is not str:
        return f"{expected}; {proposed}{either}" if proposed else expected
    return f"{expected}; no usual format fits it: if one of Python's strptime does, set ingest.timestamp_format"


def _year(number: float, unit: str) -> int:
    """Return about the year of a number of a unit."""
    return round(1970 + number * NANOSECONDS[unit] / (365.2425 * _DAY) - 0.5)


def _lookup(column: pa.Array) -> Callable[[int], Any]:
    def original(at: int) -> Any:
        value = column[at].as_py()
        return value.decode(errors="replace") if isinstance(value, bytes) else value

    return original


def _from_temporal(column: pa.Array) -> Moments:
    """Convert Arrow's dates and timestamps, whose unit is known."""
    absent = null_rows(column)
    if pa.types.is_date32(column.type):
        days: Integers = column.cast(pa.int32()).fill_null(0).to_numpy().astype(np.int64)
        fits = np.abs(days) < MOST_NANOSECONDS // _DAY
        nanoseconds, form = np.where(fits, days, 0) * _DAY, "dates"
    else:
        unit = "ms" if pa.types.is_date64(column.type) else column.type.unit
        nanoseconds, fits = to_nanoseconds(column.cast(pa.int64()).fill_null(0).to_numpy(), unit)
        zone = getattr(column.type, "tz", None)
        form = "timestamps" if zone else "timestamps without a time zone, taken as UTC"
    return Moments(
        nanoseconds, fits & ~absent, absent, np.zeros(len(absent), bool), lambda at: _Shown(column[at]), form
    )


class _Shown(str):
    """A moment as text, which a message shows without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def _from_format(column: pa.Array, settings: IngestSettings, format: str) -> Moments:
    distinct = DistinctValues.of(column, trim=True, missing=settings.missing)
    values, fits = parse_by_format(distinct.text, format)
    missing = distinct.rows(distinct.missing)
    none = np.zeros(len(missing), bool)
    known = fits[distinct.index] & ~missing
    return Moments(values[distinct.index], known, missing, none, distinct.original, f"times as {format!r}")


def _from_numbers(
    numbers: Integers | npt.NDArray[np.float64], absent: Mask, unit: str | None, original: Callable[[int], Any]
) -> Moments:
    nanoseconds, fits = to_nanoseconds(numbers, unit)
    odd = _odd(numbers, nanoseconds, fits, absent, unit) & ~absent
    form = _form(numbers[~absent] if absent.any() else numbers, unit)
    return Moments(nanoseconds, ~absent, absent, odd, original, form)


def _odd(
    numbers: Integers | npt.NDArray[np.float64], nanoseconds: Integers, fits: Mask, absent: Mask, unit: str | None
) -> Mask:
    """Return which numbers make a moment that nobody can have rated at, and are likely to mean another."""
    first, last = _nanoseconds_of(_FIRST_YEAR), _nanoseconds_of(_LAST_YEAR + 1)
    if unit is not None:
        # The unit is meant so, unless the number's size says another one, which makes a likely moment.
        likely, fits_by_size = to_nanoseconds(numbers, None)
        likely_odd = ~fits_by_size | (likely < first) | (likely >= last) | (likely == nanoseconds)
        asked: Mask = ~fits | (((nanoseconds < first) | (nanoseconds >= last)) & ~likely_odd)
        return asked
    lowest, largest = float(numbers.min(initial=0)), float(numbers.max(initial=0))
    odd: Mask = ~fits | (nanoseconds >= last)
    if max(-lowest, largest) >= 1e11:
        odd |= (np.abs(numbers) >= 1e11) & (nanoseconds < _nanoseconds_of(_FIRST_FINE_YEAR))
    if largest < 1900_01_01:  # the least that reads as a date
        return odd
    whole = numbers.astype(np.int64)
    if not read_as_dates(whole[:_SAMPLE]).any():
        return odd
    dates = read_as_dates(whole) & (whole == numbers)
    return odd | dates if dates.sum() >= _MOSTLY * (~absent).sum() else odd


def _nanoseconds_of(year: int) -> int:
    return int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) * NANOSECONDS["s"]


def _form(numbers: Integers | npt.NDArray[np.float64], unit: str | None) -> str:
    if unit is not None or not len(numbers):
        return _UNITS[unit or "s"]
    size = np.abs(numbers)
    finest, coarsest = unit_of(float(size.max())), unit_of(float(size.min()))
    return _UNITS[finest] if finest == coarsest else f"{_UNITS[coarsest]} to {_UNITS[finest]}"


def _from_text(column: pa.Array, settings: IngestSettings) -> Moments:
    """Convert text: the whole column as integers or as ISO 8601 if Arrow can, else each distinct value."""
    for type in (pa.int64(), pa.timestamp("ns"), pa.timestamp("ns", "UTC")):
        try:
            found = column.cast(pa.string()).cast(type).cast(pa.int64())
        except pa.ArrowInvalid:
            continue
        is_number = pa.types.is_integer(type)
        if not found.null_count and not (settings.missing and is_number and _has_number(settings.missing)):
            none, numbers = np.zeros(len(found), bool), found.to_numpy()
            if is_number:
                return _from_numbers(numbers, none, settings.timestamp_unit, _lookup(column))
            return Moments(numbers, ~none, none, none, _lookup(column), "ISO 8601")
    return _from_each_text(column, settings)


def _from_each_text(column: pa.Array, settings: IngestSettings) -> Moments:
    unit = settings.timestamp_unit
    distinct = DistinctValues.of(column, trim=True, missing=settings.missing)
    parsed = distinct.parse(lambda text: parse_timestamp(text, unit))
    values = np.array([value or 0 for value in parsed], np.int64)
    known = np.array([value is not None for value in parsed], bool)
    numbers = distinct.parse(lambda text: parse_number(text.replace(",", "."), "."))
    is_number = np.array([value is not None and abs(value) < 2.0**63 for value in numbers], bool)
    plain = np.array([value if usable else 0.0 for value, usable in zip(numbers, is_number, strict=True)], np.float64)
    odd = _odd(plain, values, known | ~is_number, ~is_number, unit) & is_number
    rows, missing = distinct.index, distinct.rows(distinct.missing)
    form = _form(plain[is_number], unit) if is_number.any() else "ISO 8601"
    if is_number.any() and (known & ~is_number).any():
        form += " and ISO 8601"
    return Moments(values[rows], (known | odd)[rows], missing, odd[rows], distinct.original, form)


def _has_number(missing: tuple[str, ...]) -> bool:
    """Return whether a number stands for a missing value."""
    return any(text.lstrip("+-").isdecimal() for text in missing)
