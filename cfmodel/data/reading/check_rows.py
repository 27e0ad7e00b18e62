"""Checks of raw rows: each becomes a typed rating, or a bad row with its reason."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cfmodel.config import IngestSettings
from cfmodel.data.formats.distinct_values import EXACT_BELOW, DistinctValues, Mask, is_text, plain_column
from cfmodel.data.formats.raw_rows import REMEDY, SET_ASIDE, BadRow, CheckedRows, RawRows, short_repr, shorten
from cfmodel.data.reading.parse_values import parse_number
from cfmodel.data.reading.timestamps import Moments, question, read_timestamps, unreadable
from cfmodel.errors import DataError
from cfmodel.schema import ENCODED_RATINGS, MOMENT, MOVIE_ID, RATING, TIMESTAMP, USER_ID

_TIME_REMEDY = f"{REMEDY}, or leave timestamps out with --set ingest.columns.timestamp="
#: Longest id, in characters: an address of a page has room. Longer ones are mostly text of another column.
LONGEST_ID = 2048
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
    columns = {role: plain_column(column) for role, column in columns.items()}
    for role, column in columns.items():
        _refuse_type(column.type, role, file)
    problems = _Problems(raw.columns.num_rows)
    users, movies = (_ids(columns[role], role, raw, settings, problems) for role in (USER_ID, MOVIE_ID))
    ratings = _ratings(columns[RATING], settings, problems)
    times = _timestamps(columns.get(TIMESTAMP), settings, problems)
    unrated = np.zeros(len(ratings), bool) if settings.not_rated is None else ratings == settings.not_rated
    good = ~(unrated | problems.bad)
    batch = pa.record_batch(
        [users, movies, pa.array(ratings), _moments(times, len(ratings))],
        schema=ENCODED_RATINGS,
    )
    return CheckedRows(
        ratings=batch if good.all() else batch.filter(pa.array(good)),
        bad=tuple(sorted((*raw.bad, *problems.rows(raw, ~unrated)), key=lambda row: row.number)),
        uncut=len(raw.bad),
        unrated=int(unrated.sum()) + raw.unrated,
        ignored=raw.ignored,
        headers=raw.headers,
        also=problems.hidden(raw, ~unrated),
        times="" if times is None else times.form,
    )


class _Problems:
    """The first problem of each bad row, and the problems that are no row's first."""

    def __init__(self, rows: int) -> None:
        self._problem = np.zeros(rows, np.int16)
        self._problems: list[tuple[str, Callable[[int], str]]] = []
        self._rows: list[Mask] = []

    @property
    def bad(self) -> Mask:
        """Which rows are bad."""
        return self._problem > 0

    def reject(self, rows: Mask, reason: str, detail: Callable[[int], str]) -> None:
        """Reject rows for a reason; `detail` returns the full message for one row."""
        if rows.any():
            self._problems.append((reason, detail))
            self._rows.append(rows)
            self._problem[rows & (self._problem == 0)] = len(self._problems)

    def rows(self, raw: RawRows, among: Mask) -> list[BadRow]:
        """Return the bad rows that a mask selects; only the first of each reason has its detail."""
        found: list[BadRow] = []
        told: set[str] = set()
        for place in np.flatnonzero(self.bad & among).tolist():
            reason, detail = self._problems[self._problem[place] - 1]
            full = None if reason in told else detail(place)
            told.add(reason)
            found.append(BadRow(int(raw.numbers[place]), reason, full, shorten(raw.text(place))))
        return found

    def hidden(self, raw: RawRows, among: Mask) -> tuple[tuple[int, str], ...]:
        """Return the problems of most rows that are no row's first: a bad rating hides a time that is not read."""
        firsts = set(self._problem[among].tolist())
        hidden = [
            (int(np.argmax(rows & among)), detail)
            for number, ((_, detail), rows) in enumerate(zip(self._problems, self._rows, strict=True), 1)
            if number not in firsts and 2 * np.count_nonzero(rows & among) > len(rows)
        ]
        return tuple((int(raw.numbers[place]), detail(place)) for place, detail in hidden)


def _ids(
    column: pa.Array, role: str, raw: RawRows, settings: IngestSettings, problems: _Problems
) -> pa.DictionaryArray:
    """Return ids as text; whole numbers become decimal text."""
    ids = DistinctValues.of(column, trim=raw.trim, missing=settings.missing, replaced=raw.replaced)
    remedy = f"{REMEDY}; if the whole file is in another encoding, set ingest.encoding"
    if not raw.trim and is_text(column.type) and not pa.types.is_string(ids.values.type):
        remedy = f"{REMEDY}; write a column of type {column.type} as text, in hexadecimal or as a UUID"
    problems.reject(ids.rows(ids.missing), f"{role} is missing", lambda at: _missing(role, ids.original(at)))
    problems.reject(
        ids.rows(ids.not_whole),
        f"{role} is not a whole number",
        lambda at: f"{role} {_not_whole(ids.original(at), ids.values.type)}; {REMEDY}",
    )
    problems.reject(
        ids.rows(ids.longer_than(LONGEST_ID)),
        f"{role} is longer than {LONGEST_ID:,} characters",
        lambda at: (
            f"{role} {short_repr(ids.original(at))} is longer than {LONGEST_ID:,} characters; shorten such ids, for "
            f"instance to a hash; {REMEDY}"
        ),
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
        np.isnan(ratings) & ~missing,
        "rating is not a number",
        lambda at: (
            f"rating {short_repr(original(at))} is not a number{_hint_on_marks(original(at), settings)}; {REMEDY}"
        ),
    )
    problems.reject(
        np.isinf(ratings), "rating is not finite", lambda at: f"rating {ratings[at]} is not finite; {REMEDY}"
    )
    problems.reject(
        np.isfinite(ratings) & (np.abs(ratings) > _LARGEST_RATING),
        "rating is too large",
        lambda at: f"rating {ratings[at]} is larger than {_LARGEST_RATING:g}; {REMEDY}",
    )
    if settings.rating_range is not None:
        low, high = settings.rating_range
        problems.reject(
            np.isfinite(ratings) & ((ratings < low) | (ratings > high)),
            "rating is outside ingest.rating_range",
            lambda at: (
                f"rating {ratings[at]} is outside [{low}, {high}]; set ingest.rating_range if the scale is "
                f"different{SET_ASIDE}"
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
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.string())  # the float nearest to the decimal; Arrow's own cast is one off
    numbers: _Floats = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
    return numbers


def _not_whole(value: Any, type: pa.DataType) -> str:
    if isinstance(value, float) and value.is_integer():
        exact = EXACT_BELOW[type.bit_width]
        return f"{value:.0f} is a float, and {type.bit_width} bits hold no whole number from {exact:,} on exactly"
    return f"{short_repr(value)} is not a whole number"


def _timestamps(column: pa.Array | None, settings: IngestSettings, problems: _Problems) -> Moments | None:
    """Return the times; None if there is no timestamp column."""
    if column is None or pa.types.is_null(column.type):
        return None
    times = read_timestamps(column, settings)
    problems.reject(times.missing, "timestamp is missing", lambda _: f"timestamp is missing; {_TIME_REMEDY}")
    bad = ~times.known & ~times.missing
    problems.reject(
        bad,
        "timestamp is not a date or time",
        lambda at: (
            f"timestamp {short_repr(times.original(at))} "
            f"{unreadable(times.original(at), _first(times, bad), settings)}; {_TIME_REMEDY}"
        ),
    )
    problems.reject(
        times.odd & times.known,
        "timestamp is in an unlikely year",
        lambda at: f"{question(times.original(at), settings.timestamp_unit)}; {_TIME_REMEDY}",
    )
    return times


def _first(times: Moments, rows: Mask) -> list[Any]:
    """Return the first values of some rows, to find what else a time may be written as."""
    return [times.original(place) for place in np.flatnonzero(rows)[:200].tolist()]


def _moments(times: Moments | None, rows: int) -> pa.Array:
    return pa.nulls(rows, MOMENT) if times is None else pa.array(times.nanoseconds, MOMENT)


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
    unfit |= isinstance(type, pa.BaseExtensionType)
    expected = {RATING: "a number", TIMESTAMP: "a time"}.get(role, "text or a whole number")
    if role != TIMESTAMP:
        unfit |= pa.types.is_temporal(type)
    if role != RATING:
        unfit |= pa.types.is_boolean(type)
    if unfit:
        inside = "p.write_table(p.read_table('FILE').flatten(), 'ratings.parquet')"
        flatten = f', or write what is inside as columns: python -c "import pyarrow.parquet as p; {inside}"'
        raise DataError(
            f"{file}: {role} is of type {type}, not {expected}; name another column in ingest.columns.{role}"
            f"{flatten if pa.types.is_struct(type) else ''}"
        )
