"""Judge rows as a file has them: ratings with their types, and for every other row why it is none."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cfmodel.config import IngestSettings
from cfmodel.data.formats.distinct_values import Distinct, Mask, is_text
from cfmodel.data.formats.raw_rows import CODED, REMEDY, BadRow, Judged, Raw, shortened, told
from cfmodel.data.reading.parse_values import FIRST_SECOND, LAST_SECOND, number
from cfmodel.data.reading.timestamps import seconds_of
from cfmodel.errors import DataError
from cfmodel.schema import MOVIE_ID, RATING, TIMESTAMP, USER_ID

_TIME_REMEDY = f"{REMEDY}, or leave timestamps out with ingest.columns.timestamp = ''"
#: Larger ones cannot be squared and added up in single precision.
_LARGEST_RATING = 1e15

Floats = npt.NDArray[np.float64]
#: What stands in a row, as the file has it.
Original = Callable[[int], Any]


def judge(raw: Raw, settings: IngestSettings, *, file: str) -> Judged:
    """Cast rows to ratings, and set those apart that cannot be any.

    A row is bad for its first problem in the order user, movie, rating, timestamp.

    Args:
        raw: The rows.
        settings: What is missing, what is no rating, which ratings are allowed.
        file: The file's name, for the refusals.

    Raises:
        DataError: A column is of a type that cannot hold what it should.
    """
    columns = {field.name: raw.columns.column(field.name) for field in raw.columns.schema}
    for role, column in columns.items():
        _refuse_type(column.type, role, file)
    verdicts = _Verdicts(raw.columns.num_rows)
    users, movies = (_ids(columns[role], role, raw, settings, verdicts) for role in (USER_ID, MOVIE_ID))
    ratings = _ratings(columns[RATING], settings, verdicts)
    times = _timestamps(columns.get(TIMESTAMP), settings, verdicts)
    unrated = np.zeros(len(ratings), bool) if settings.not_rated is None else ratings == settings.not_rated
    good = ~(unrated | verdicts.bad)
    batch = pa.record_batch(
        [users, movies, pa.array(ratings), pa.nulls(len(ratings), pa.int64()) if times is None else times],
        schema=CODED,
    )
    return Judged(
        ratings=batch if good.all() else batch.filter(pa.array(good)),
        bad=tuple(sorted((*raw.bad, *verdicts.rows(raw, ~unrated)), key=lambda row: row.number)),
        uncut=len(raw.bad),
        unrated=int(unrated.sum()) + raw.unrated,
        ignored=raw.ignored,
    )


class _Verdicts:
    """Why rows are bad: each for the first problem that is found with it."""

    def __init__(self, rows: int) -> None:
        self._problem = np.zeros(rows, np.int16)
        self._problems: list[tuple[str, Callable[[int], str]]] = []

    @property
    def bad(self) -> Mask:
        """Which rows are bad."""
        return self._problem > 0

    def reject(self, rows: Mask, reason: str, detail: Callable[[int], str]) -> None:
        """Find a problem with some rows: in words that many may share, and in detail for one of them."""
        if rows.any():
            self._problems.append((reason, detail))
            self._problem[rows & (self._problem == 0)] = len(self._problems)

    def rows(self, raw: Raw, among: Mask) -> list[BadRow]:
        """Return the bad rows among some; only the first comes with its detail."""
        found: list[BadRow] = []
        for place in np.flatnonzero(self.bad & among).tolist():
            reason, detail = self._problems[self._problem[place] - 1]
            said = None if found else detail(place)
            found.append(BadRow(int(raw.numbers[place]), reason, said, shortened(raw.text(place))))
        return found


def _ids(column: pa.Array, role: str, raw: Raw, settings: IngestSettings, verdicts: _Verdicts) -> pa.DictionaryArray:
    """Return ids as text: whole numbers as their decimal text, text as it is."""
    ids = Distinct.of(column, trim=raw.trim, missing=settings.missing, replaced=raw.replaced)
    elsewhere = f"{REMEDY}; if all of the file is in another encoding, set ingest.encoding"
    verdicts.reject(ids.rows(ids.missing), f"{role} is missing", lambda at: _missing(role, ids.original(at)))
    verdicts.reject(
        ids.rows(ids.fractional),
        f"{role} is not a whole number",
        lambda at: f"{role} {told(ids.original(at))} is not a whole number; {REMEDY}",
    )
    verdicts.reject(
        ids.rows(ids.garbled),
        f"{role} is not UTF-8 text",
        lambda at: f"{role} {told(ids.original(at))} is not UTF-8 text; {elsewhere}",
    )
    return ids.as_dictionary()


def _ratings(column: pa.Array, settings: IngestSettings, verdicts: _Verdicts) -> Floats:
    ratings, missing, original = _numbers(column, settings)
    verdicts.reject(missing, "rating is missing", lambda at: _missing("rating", original(at)))
    verdicts.reject(
        np.isnan(ratings),
        "rating is not a number",
        lambda at: f"rating {told(original(at))} is not a number{_thousand(original(at))}; {REMEDY}",
    )
    verdicts.reject(
        np.isinf(ratings), "rating is not finite", lambda at: f"rating {ratings[at]} is not finite; {REMEDY}"
    )
    verdicts.reject(
        np.abs(ratings) > _LARGEST_RATING,
        "rating is too large",
        lambda at: f"rating {ratings[at]} is larger than {_LARGEST_RATING:g}; {REMEDY}",
    )
    if settings.rating_range is not None:
        low, high = settings.rating_range
        verdicts.reject(
            (ratings < low) | (ratings > high),
            "rating is outside ingest.rating_range",
            lambda at: (
                f"rating {ratings[at]} is outside [{low}, {high}]; set ingest.rating_range if the scale is "
                f"another, or ingest.on_bad_row = 'quarantine'"
            ),
        )
    return ratings


def _numbers(column: pa.Array, settings: IngestSettings) -> tuple[Floats, Mask, Original]:
    """Return numbers, NaN for what is none, which of them are missing, and what stands in a row."""
    if not is_text(column.type):
        numbers = _floats(column)
        return numbers, np.isnan(numbers), lambda at: column[at].as_py()
    distinct = Distinct.of(column, trim=True, missing=settings.missing)
    parsed = distinct.parsed(lambda text: number(text, settings.decimal))
    numbers = np.array([np.nan if value is None else value for value in parsed])
    return numbers[distinct.place], distinct.rows(distinct.missing), distinct.original


def _floats(column: pa.Array) -> Floats:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    numbers: Floats = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False)
    return numbers


def _timestamps(column: pa.Array | None, settings: IngestSettings, verdicts: _Verdicts) -> pa.Array | None:
    """Return seconds since 1970-01-01 UTC; None where the source has none."""
    if column is None or pa.types.is_null(column.type):
        return None
    seconds, known, missing, original = seconds_of(column, settings)
    verdicts.reject(missing, "timestamp is missing", lambda _: f"timestamp is missing; {_TIME_REMEDY}")
    verdicts.reject(
        ~known | (seconds < FIRST_SECOND) | (seconds > LAST_SECOND),
        "timestamp is no moment",
        lambda at: f"timestamp {told(original(at))} is no moment in seconds or ISO 8601; {_TIME_REMEDY}",
    )
    return pa.array(seconds)


def _missing(role: str, value: Any) -> str:
    if value is None or not str(value).strip():
        return f"{role} is empty; {REMEDY}"
    return f"{role} {told(value)} stands for a missing value; {REMEDY}, or take it out of ingest.missing"


def _thousand(value: Any) -> str:
    return " (or is it a thousand? then set ingest.decimal)" if isinstance(value, str) and "," in value else ""


def _refuse_type(type: pa.DataType, role: str, file: str) -> None:
    if pa.types.is_dictionary(type):
        type = type.value_type
    unfit = pa.types.is_nested(type) or pa.types.is_duration(type) or pa.types.is_interval(type)
    unfit |= pa.types.is_time(type)
    expected = {RATING: "a number", TIMESTAMP: "a moment"}.get(role, "text or a whole number")
    if role != TIMESTAMP:
        unfit |= pa.types.is_temporal(type)
    if role != RATING:
        unfit |= pa.types.is_boolean(type)
    if unfit:
        raise DataError(
            f"{file}: {role} is of type {type}, not {expected}; name another column in ingest.columns.{role}"
        )
