"""JSON lines: one object per row. Numbers are kept as text, so that no id loses a digit."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any

import pyarrow as pa

from cfmodel.data.formats.column_roles import Columns, names_all_roles
from cfmodel.data.formats.raw_rows import REMEDY, BadRow, short_repr, shorten
from cfmodel.errors import DataError
from cfmodel.schema import MOVIE_ID, RATING, USER_ID

_MOST_LINES = 4096
#: Most digits of a whole number that is written as `1.5e3`; Python's decimals have 28.
_MOST_DIGITS = 28
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
#: The start of one object that holds a list of rows, perhaps after a count and the like.
_LISTED = re.compile(r'\s*\{(?:\s*"[^"]+"\s*:\s*(?:"[^"]*"|[\w.+-]+)\s*,)*\s*"([^"]+)"\s*:\s*\[\s*\{')
_WHOLE = re.compile(r"-?\d+", re.ASCII)


def field_names(lines: Sequence[str], *, file: str) -> list[str]:
    """Return the names of all fields of the first objects, since an object may leave one out.

    Raises:
        DataError: The first lines hold no JSON object.
    """
    rows = [_object(line.encode(errors="replace")) for line in lines[:_MOST_LINES] if line.strip()]
    found = list(dict.fromkeys(chain.from_iterable(row for row in rows if row is not None)))
    if not found:
        raise DataError(f"{file}, row 1: is not one JSON object: {lines[0][:80]!r}; write one object per line")
    return found


def nested_rows(lines: Sequence[str]) -> str | None:
    """Return the filter of `jq` that yields the rows, if the first object holds them inside; else None."""
    start = "\n".join(lines[:20])
    first = _object(start.encode(errors="replace")) or _object(lines[0].encode(errors="replace")) or {}
    for name, value in first.items():
        if isinstance(value, dict) and names_all_roles(list(value)):
            step = f'."{name}"' if (len(lines) > 1 and lines[1].strip()) or len(first) == 1 else ".[]"
            return f"{step} | map_values(.[])" if all(isinstance(part, dict) for part in value.values()) else step
        if isinstance(value, dict) and all(isinstance(part, _Fraction | str) for part in value.values()) and value:
            row = "{user_id: $user, movie_id: .key, rating: .value}"
            return f"to_entries[] | .key as $user | .value | to_entries[] | {row}"
        if isinstance(value, list) and value and isinstance(value[0], dict):
            if names_all_roles(list(value[0])):
                return f'."{name}"[]'
            if names_all_roles([*value[0], *first]):  # the user beside a list of what they rated
                each = 'if type == "array" then .[] else . end'
                return f'{each} | . as $row | ."{name}"[] + ($row | del(."{name}"))'
    listed = _LISTED.match(start)
    return f'."{listed[1]}"[]' if listed else None


def parse_lines(
    lines: Sequence[bytes], columns: Columns, *, first_row: int
) -> tuple[pa.RecordBatch, list[int], list[BadRow], int]:
    """Parse lines as objects.

    Args:
        first_row: Number of the first line in its file.

    Returns:
        The fields by name, as text; the index of each row among the lines; the lines that are not
        objects of text and numbers; and how many lines are blank.
    """
    blank = {place for place, line in enumerate(lines) if not line.strip()}
    rows = _objects(lines)
    problems = {
        place: (
            "row is not one JSON object",
            f"is not one JSON object: {lines[place][:80].decode(errors='replace')!r}; {REMEDY}",
        )
        for place, row in enumerate(rows)
        if row is None and place not in blank
    }
    wanted = [columns.names[place] for place in (*columns.roles.values(), *columns.movies)]
    roles = {columns.names[place]: role for role, place in columns.roles.items()}
    fields = {name: [None if row is None else row.get(name) for row in rows] for name in wanted}
    for name, values in fields.items():
        for place, problem in _misfits(values, roles.get(name, RATING)):
            problems.setdefault(place, problem)
    good = [place for place in range(len(lines)) if place not in problems and place not in blank]
    batch = pa.record_batch(
        {name: pa.array([values[at] for at in good], pa.string()) for name, values in fields.items()}
    )
    bad = [
        BadRow(first_row + at, *problem, shorten(lines[at].decode(errors="replace")))
        for at, problem in sorted(problems.items())
    ]
    return batch, good, bad, len(blank)


def _misfits(values: list[Any], role: str) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yield the index of each value that the role does not allow, with reason and detail."""
    fit = {str, type(None)} if role in (USER_ID, MOVIE_ID) else {str, type(None), _Fraction}
    if set(map(type, values)) <= fit and _is_encodable(values):
        return
    for place, value in enumerate(values):
        if type(value) not in fit:
            whole = isinstance(value, _Fraction)
            problem = "is not a whole number" if whole else "is neither text nor a number"
            remedy = REMEDY if whole else f"{REMEDY}, or name another column in ingest.columns.{role}"
            yield (
                place,
                (f"{role} {problem}", f"{role} {value[:100] if whole else short_repr(value)} {problem}; {remedy}"),
            )
        elif not _is_encodable([value]):
            yield place, (f"{role} is not UTF-8 text", f"{role} {short_repr(value)} is not UTF-8 text; {REMEDY}")


def _is_encodable(values: list[Any]) -> bool:
    """Return whether no text has half of a surrogate pair, which JSON can hold and UTF-8 cannot."""
    try:
        pa.array([value if isinstance(value, str) else None for value in values], pa.string())
    except UnicodeEncodeError:
        return False
    return True


def _objects(lines: Sequence[bytes]) -> list[dict[str, Any] | None]:
    try:
        rows: list[dict[str, Any] | None] = _parse(b"[" + b",".join(lines) + b"]")
        if len(rows) == len(lines) and all(type(row) is dict for row in rows):
            return rows
    except (ValueError, RecursionError):
        pass
    return [_object(line) for line in lines]


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        row = _parse(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


#: Parts of a value in MongoDB's extended JSON, as `mongoexport` writes it: `{"$numberLong": "12"}` is 12.
_EXTENDED = frozenset(
    ("$numberLong", "$numberInt", "$numberDouble", "$numberDecimal", "$oid", "$date", "$uuid", "$symbol")
)


def _plain(found: dict[str, Any]) -> Any:
    """Return the value that an object of extended JSON stands for; any other object as it is."""
    if len(found) != 1 or (kind := next(iter(found))) not in _EXTENDED:
        return found
    value = found[kind]
    if kind in ("$numberDouble", "$numberDecimal") and isinstance(value, str):
        if _WHOLE.fullmatch(value):
            return value
        return None if value == "NaN" else _whole_or_fraction(value) if _NUMBER.fullmatch(value) else _Fraction(value)
    if kind == "$date" and isinstance(value, str) and _WHOLE.fullmatch(value):
        return _moment(value)
    return value


def _moment(milliseconds: str) -> str:
    """Return milliseconds since 1970 as ISO 8601, so that their unit is known; beyond the year 9999 as they are."""
    try:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(milliseconds))).isoformat()
    except OverflowError:
        return milliseconds


class _Fraction(str):
    """The text of a JSON number that is not whole: allowed as rating or timestamp, not as id."""

    __slots__ = ()


def _parse(text: bytes) -> Any:
    return json.loads(
        text.decode(),
        object_hook=_plain if b'"$' in text else None,
        parse_int=str,
        parse_float=_whole_or_fraction,
        parse_constant=lambda name: None if name == "NaN" else _Fraction(name),
    )


def _whole_or_fraction(number: str) -> str:
    if number.endswith(".0"):
        return number.removesuffix(".0")
    if abs(quick := float(number)) < 2**53:
        return f"{quick:.0f}" if quick.is_integer() else _Fraction(number)
    # A float64 does not hold every whole number from 2^53 on.
    exact = Decimal(number)
    return f"{exact:.0f}" if exact.adjusted() < _MOST_DIGITS and exact % 1 == 0 else _Fraction(number)
