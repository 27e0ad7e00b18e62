"""Turn batches as a file has them into typed ratings, or name the row that cannot be one."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from cfmodel.errors import DataError
from cfmodel.schema import MOVIE_ID, RATING, RATINGS, TIMESTAMP, USER_ID

_REMEDY = "correct or remove the row"


class _Refused(Exception):
    """A row of the batch cannot be a rating, or, without a place, none can: its place in the batch, and why."""

    def __init__(self, place: int | None, problem: str) -> None:
        super().__init__(problem)
        self.place = place


def typed(
    batch: pa.RecordBatch, rating_range: tuple[float, float] | None, *, file: str, first_row: int
) -> pa.RecordBatch:
    """Cast a batch to `RATINGS`.

    Args:
        batch: Columns named by their roles, of the file's own types.
        rating_range: Lowest and highest rating allowed; None allows any finite number.
        file: The file's name, for the refusals.
        first_row: The batch's first data row in that file, 1-based.

    Raises:
        DataError: A column cannot hold ids, or a row has an empty or blank id, a rating or a timestamp
            that is no finite number, or a rating outside the range.
    """
    try:
        columns = [
            _ids(batch.column(USER_ID), USER_ID),
            _ids(batch.column(MOVIE_ID), MOVIE_ID),
            _ratings(batch.column(RATING), rating_range),
            _timestamps(batch.column(TIMESTAMP)) if TIMESTAMP in batch.schema.names else _no_timestamps(batch),
        ]
    except _Refused as refused:
        where = file if refused.place is None else f"{file}, row {first_row + refused.place:,}"
        raise DataError(f"{where}: {refused}") from None
    return pa.record_batch(columns, schema=RATINGS)


def _ids(column: pa.Array, role: str) -> pa.Array:
    """Return ids as text: whole numbers as their decimal text, text as it is."""
    column = _plain(column)
    if pa.types.is_boolean(column.type) or pa.types.is_nested(column.type) or pa.types.is_temporal(column.type):
        problem = f"{role} is of type {column.type}, not text or a whole number"
        raise _Refused(None, f"{problem}; name another column in ingest.columns.{role}")
    _refuse_where(pc.is_null(column), column, lambda _: f"{role} is empty; {_REMEDY}")
    if pa.types.is_floating(column.type) or pa.types.is_decimal(column.type):
        # A whole number in a column that can hold missing values is often stored as a float.
        column = _cast(column, pa.int64(), lambda value: f"{role} {value} is not a whole number; {_REMEDY}")
    if pa.types.is_string(column.type):
        column = column.cast(pa.binary())  # the cast back checks it: Parquet's text may be no UTF-8
    ids = _cast(column, pa.string(), lambda value: f"{role} {value!r} is not UTF-8 text; {_REMEDY}")
    blank = pc.or_(pc.equal(pc.binary_length(ids), 0), pc.utf8_is_space(ids))
    _refuse_where(blank, ids, lambda _: f"{role} is empty; {_REMEDY}")
    return ids


def _ratings(column: pa.Array, rating_range: tuple[float, float] | None) -> pa.Array:
    ratings = _numbers(_plain(column), lambda value: f"rating {value!r} is not a number; {_REMEDY}")
    _refuse_where(pc.invert(pc.is_finite(ratings)), ratings, lambda value: f"rating {value} is not finite; {_REMEDY}")
    if rating_range is None:
        return ratings
    low, high = rating_range
    _refuse_where(
        pc.or_(pc.less(ratings, low), pc.greater(ratings, high)),
        ratings,
        lambda value: f"rating {value} is outside [{low}, {high}]; set ingest.rating_range if the scale is another",
    )
    return ratings


def _timestamps(column: pa.Array) -> pa.Array:
    """Return seconds since 1970-01-01 UTC; numbers are seconds, text without a zone is UTC."""
    column = _plain(column)
    if pa.types.is_null(column.type):
        return column.cast(pa.int64())
    if pa.types.is_temporal(column.type):
        return _present(_seconds(column))
    if pa.types.is_string(column.type):
        for attempt in (_whole_numbers, _moments, _zoned_moments):
            try:
                return _present(attempt(column))
            except pa.ArrowInvalid:
                continue
    if pa.types.is_integer(column.type):
        return _present(column.cast(pa.int64()))
    seconds = _numbers(column, lambda value: f"timestamp {value!r} is no moment in seconds or ISO 8601; {_TIME_REMEDY}")
    _refuse_where(
        pc.invert(pc.is_finite(seconds)), seconds, lambda value: f"timestamp {value} is not finite; {_TIME_REMEDY}"
    )
    return pc.floor(seconds).cast(pa.int64())


_TIME_REMEDY = "correct the row, or leave timestamps out with ingest.columns.timestamp = ''"


def _whole_numbers(column: pa.Array) -> pa.Array:
    return column.cast(pa.int64())


def _moments(column: pa.Array) -> pa.Array:
    return _seconds(column.cast(pa.timestamp("us")))


def _zoned_moments(column: pa.Array) -> pa.Array:
    return _seconds(column.cast(pa.timestamp("us", "UTC")))


def _seconds(column: pa.Array) -> pa.Array:
    return pc.floor_temporal(column.cast(pa.timestamp("us")), unit="second").cast(pa.timestamp("s")).cast(pa.int64())


def _present(seconds: pa.Array) -> pa.Array:
    _refuse_where(pc.is_null(seconds), seconds, lambda _: f"timestamp is missing; {_TIME_REMEDY}")
    return seconds


def _no_timestamps(batch: pa.RecordBatch) -> pa.Array:
    return pa.nulls(batch.num_rows, pa.int64())


def _numbers(column: pa.Array, problem: Callable[[object], str]) -> pa.Array:
    """Cast to float64; the common case is one cast, blanks around a number cost a second one."""
    if not pa.types.is_string(column.type):
        return _cast(column, pa.float64(), problem)
    try:
        numbers = column.cast(pa.float64())
    except pa.ArrowInvalid:
        numbers = _cast(pc.utf8_trim_whitespace(column), pa.float64(), problem)
    _refuse_where(pc.is_null(numbers), column, problem)
    return numbers


def _cast(column: pa.Array, type: pa.DataType, problem: Callable[[object], str]) -> pa.Array:
    """Cast a column in which nothing may be missing."""
    _refuse_where(pc.is_null(column), column, lambda _: problem(None))
    try:
        return column.cast(type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        place = _first_failure(column, type)
        raise _Refused(place, problem(column[place].as_py())) from None


def _first_failure(column: pa.Array, type: pa.DataType) -> int:
    """Return the first row that cannot be cast, by halving."""
    first, last = 0, len(column)
    while last - first > 1:
        middle = (first + last) // 2
        try:
            column.slice(first, middle - first).cast(type)
            first = middle
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            last = middle
    return first


def _refuse_where(refused: pa.Array, column: pa.Array, problem: Callable[[object], str]) -> None:
    place = pc.index(refused, True).as_py()
    if place >= 0:
        raise _Refused(place, problem(column[place].as_py()))


def _plain(column: pa.Array) -> pa.Array:
    """Undo what only the storage adds: dictionaries and wide or viewed text."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        return column.cast(pa.string())
    return column
