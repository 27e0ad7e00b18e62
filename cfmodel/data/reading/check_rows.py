"""Checks of raw rows: each becomes a typed rating, or a bad row with its reason."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cfmodel.config import IngestSettings
from cfmodel.data.formats.distinct_values import DistinctValues, Mask, is_text
from cfmodel.data.formats.raw_rows import REMEDY, BadRow, CheckedRows, RawRows, short_repr, shorten
from cfmodel.data.reading.parse_values import FIRST_SECOND, LAST_SECOND, parse_number
from cfmodel.data.reading.timestamps import read_timestamps
from cfmodel.errors import DataError
from cfmodel.schema import ENCODED_RATINGS, MOVIE_ID, RATING, TIMESTAMP, USER_ID

_TIME_REMEDY = f"{REMEDY}, or leave timestamps out with ingest.columns.timestamp = ''"
#: Larger ones cannot be squared and added up in single precision.
_LARGEST_RATING = 1e15

_Floats = npt.NDArray[np.float64]
#: Returns a row's value as the file holds it.
_Original = Callable[[int], Any]


def check_rows(raw: RawRows, settings: IngestSettings, *, file: str) -> CheckedRows:
    """Turn rows into typed ratings, and set the bad rows aside.

    A row with several problems is reported with the first, in the order user, movie, rating, timestamp.

    Raises:
        DataError: A column is of a type that does not fit its role.
    """
    columns = {field.name: raw.columns.column(field.name) for field in raw.columns.schema}
    for role, column in columns.items():
        _refuse_type(column.type, role, file)
    problems = _Problems(raw.columns.num_rows)
    users, movies = (_ids(columns[role], role, raw, settings, problems) for role in (USER_ID, MOVIE_ID))
    ratings = _ratings(columns[RATING], settings, problems)
    times = _timestamps(columns.get(TIMESTAMP), settings, problems)
    unrated = np.zeros(len(ratings), bool) if settings.not_rated is None else ratings == settings.not_rated
    good = ~(unrated | problems.bad)
    batch = pa.record_batch(
        [users, movies, pa.array(ratings), pa.nulls(len(ratings), pa.int64()) if times is None else times],
        schema=ENCODED_RATINGS,
    )
    return CheckedRows(
        ratings=batch if good.all() else batch.filter(pa.array(good)),
        bad=tuple(sorted((*raw.bad, *problems.rows(raw, ~unrated)), key=lambda row: row.number)),
        uncut=len(raw.bad),
        unrated=int(unrated.sum()) + raw.unrated,
        ignored=raw.ignored,
        headers=raw.headers,
    )


class _Problems:
    """The first problem of each bad row."""

    def __init__(self, rows: int) -> None:
        self._problem = np.zeros(rows, np.int16)
        self._problems: list[tuple[str, Callable[[int], str]]] = []

    @property
    def bad(self) -> Mask:
        """Which rows are bad."""
        return self._problem > 0

    def reject(self, rows: Mask, reason: str, detail: Callable[[int], str]) -> None:
        """Reject rows for a reason; `detail` returns the full message for one row."""
        if rows.any():
            self._problems.append((reason, detail))
            self._problem[rows & (self._problem == 0)] = len(self._problems)

    def rows(self, raw: RawRows, among: Mask) -> list[BadRow]:
        """Return the bad rows that a mask selects; only the first has its detail."""
        found: list[BadRow] = []
        for place in np.flatnonzero(self.bad & among).tolist():
            reason, detail = self._problems[self._problem[place] - 1]
            full = None if found else detail(place)
            found.append(BadRow(int(raw.numbers[place]), reason, full, shorten(raw.text(place))))
        return found


def _ids(
    column: pa.Array, role: str, raw: RawRows, settings: IngestSettings, problems: _Problems
) -> pa.DictionaryArray:
    """Return ids as text; whole numbers become decimal text."""
    ids = DistinctValues.of(column, trim=raw.trim, missing=settings.missing, replaced=raw.replaced)
    remedy = f"{REMEDY}; if the whole file is in another encoding, set ingest.encoding"
    problems.reject(ids.rows(ids.missing), f"{role} is missing", lambda at: _missing(role, ids.original(at)))
    problems.reject(
        ids.rows(ids.not_whole),
        f"{role} is not a whole number",
        lambda at: f"{role} {short_repr(ids.original(at))} is not a whole number; {REMEDY}",
    )
    problems.reject(
        ids.rows(ids.not_utf8),
        f"{role} is not UTF-8 text",
        lambda at: f"{role} {short_repr(ids.original(at))} is not UTF-8 text; {remedy}",
    )
    problems.reject(
        ids.rows(ids.holding("\0")),
        f"{role} holds a zero byte",
        lambda at: f"{role} {short_repr(ids.original(at))} holds a zero byte (NUL), as damaged files do; {REMEDY}",
    )
    return ids.as_dictionary()


def _ratings(column: pa.Array, settings: IngestSettings, problems: _Problems) -> _Floats:
    ratings, missing, original = _numbers(column, settings)
    problems.reject(missing, "rating is missing", lambda at: _missing("rating", original(at)))
    problems.reject(
        np.isnan(ratings),
        "rating is not a number",
        lambda at: (
            f"rating {short_repr(original(at))} is not a number{_hint_on_marks(original(at), settings)}; {REMEDY}"
        ),
    )
    problems.reject(
        np.isinf(ratings), "rating is not finite", lambda at: f"rating {ratings[at]} is not finite; {REMEDY}"
    )
    problems.reject(
        np.abs(ratings) > _LARGEST_RATING,
        "rating is too large",
        lambda at: f"rating {ratings[at]} is larger than {_LARGEST_RATING:g}; {REMEDY}",
    )
    if settings.rating_range is not None:
        low, high = settings.rating_range
        problems.reject(
            (ratings < low) | (ratings > high),
            "rating is outside ingest.rating_range",
            lambda at: (
                f"rating {ratings[at]} is outside [{low}, {high}]; set ingest.rating_range if the scale is "
                f"different, or ingest.on_bad_row = 'quarantine'"
            ),
        )
    return ratings


def _numbers(column: pa.Array, settings: IngestSettings) -> tuple[_Floats, Mask, _Original]:
    """Return numbers (NaN if not a number), which rows are missing, and a lookup of the original values."""
    if not is_text(column.type):
        numbers = _floats(column)
        return numbers, np.isnan(numbers), lambda at: column[at].as_py()
    distinct = DistinctValues.of(column, trim=True, missing=settings.missing)
    parsed = distinct.parse(lambda text: parse_number(text, settings.decimal))
    numbers = np.array([np.nan if value is None else value for value in parsed])
    return numbers[distinct.index], distinct.rows(distinct.missing), distinct.original


def _floats(column: pa.Array) -> _Floats:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    numbers: _Floats = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
    return numbers


def _timestamps(column: pa.Array | None, settings: IngestSettings, problems: _Problems) -> pa.Array | None:
    """Return seconds since 1970-01-01 UTC; None if there is no timestamp column."""
    if column is None or pa.types.is_null(column.type):
        return None
    seconds, known, missing, original = read_timestamps(column, settings)
    problems.reject(missing, "timestamp is missing", lambda _: f"timestamp is missing; {_TIME_REMEDY}")
    problems.reject(
        ~known | (seconds < FIRST_SECOND) | (seconds > LAST_SECOND),
        "timestamp is not a date or time",
        lambda at: f"timestamp {short_repr(original(at))} is not a time in seconds or ISO 8601; {_TIME_REMEDY}",
    )
    return pa.array(seconds)


def _missing(role: str, value: Any) -> str:
    if value is None or not str(value).strip():
        return f"{role} is empty; {REMEDY}"
    return f"{role} {short_repr(value)} stands for a missing value; {REMEDY}, or remove it from ingest.missing"


def _hint_on_marks(value: Any, settings: IngestSettings) -> str:
    """Return what to set if a value is a number with marks that can be read in two ways, or in the other way."""
    if not isinstance(value, str):
        return ""
    if settings.decimal is not None and parse_number(value, None) is not None:
        return " (leave ingest.decimal out, so that both decimal marks are read)"
    fits = [f"'{mark}'" for mark in ",." if mark != settings.decimal and parse_number(value, mark) is not None]
    return f" (set ingest.decimal to its decimal mark, {' or '.join(fits)})" if fits else ""


def _refuse_type(type: pa.DataType, role: str, file: str) -> None:
    if pa.types.is_dictionary(type):
        type = type.value_type
    unfit = pa.types.is_nested(type) or pa.types.is_duration(type) or pa.types.is_interval(type)
    unfit |= pa.types.is_time(type)
    expected = {RATING: "a number", TIMESTAMP: "a time"}.get(role, "text or a whole number")
    if role != TIMESTAMP:
        unfit |= pa.types.is_temporal(type)
    if role != RATING:
        unfit |= pa.types.is_boolean(type)
    if unfit:
        raise DataError(
            f"{file}: {role} is of type {type}, not {expected}; name another column in ingest.columns.{role}"
        )
