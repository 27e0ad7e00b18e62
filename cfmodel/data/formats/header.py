"""The start of delimited text: its separator, its header and the comments above it."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from cfmodel.config import IngestSettings
from cfmodel.data.formats.column_roles import is_header, names_all_roles
from cfmodel.errors import DataError

#: Starts a comment line: above the first row, or with another number of fields than the rows.
COMMENT = "#"
_SEPARATORS = ("::", "\t", ",", ";", "|")
_MOST_ROWS = 100


@dataclass(frozen=True)
class Header:
    """The start of delimited text.

    Attributes:
        separator: Text between two fields.
        names: The columns' names; None if there is no header row.
        count: Number of columns.
        skipped_lines: Lines before the first row of values.
    """

    separator: str
    names: tuple[str, ...] | None
    count: int
    skipped_lines: int


def read_header(lines: Sequence[str], settings: IngestSettings, *, file: str) -> Header:
    """Detect separator and header of delimited text.

    Args:
        lines: The first lines; at least one is not blank.
        settings: Separator and header if the caller gives them, and the layout.
        file: The file's name, for error messages.

    Raises:
        DataError: No separator splits the rows into enough columns.
    """
    least = 2 if settings.layout == "wide" else 3
    filled = [at for at, line in enumerate(lines) if line.strip()]
    start = next((at for at in filled if not _is_comment(lines[at])), filled[0])
    separator = settings.separator or _separator(file, lines[start:], least)
    rows = _rows(lines[start:], separator)
    if not rows or len(rows[0][0]) < least:
        fields = f"{len(rows[0][0])} field(s)" if rows else "no fields"
        raise DataError(f"{file}: rows have {fields}, not user, movie and rating; set ingest.separator")
    row, lines_used = rows[0]
    above = [at for at in filled if at < start]
    if above and settings.header is None:
        # A line with # above the first row is a comment, unless it is a row whose id begins with #, or the header.
        last = [field.strip() for field in _fields(lines[above[-1]], separator)]
        if len(last) == len(row) and _is_row(last):
            first = next(at for at in above if _is_row(_fields(lines[at], separator)))
            return Header(separator, None, len(row), first)
        uncommented = [last[0].lstrip(COMMENT).strip(), *last[1:]] if last else []
        if len(uncommented) == len(row) and names_all_roles(uncommented):
            return Header(separator, tuple(uncommented), len(row), start)
    named = is_header(row, settings) if settings.header is None else settings.header
    return Header(separator, tuple(row) if named else None, len(row), start + (lines_used if named else 0))


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith(COMMENT)


def _is_row(fields: Sequence[str]) -> bool:
    return len(fields) >= 3 and any(field.strip().replace(".", "", 1).isdecimal() for field in fields[1:])


def _separator(file: str, lines: Sequence[str], least: int) -> str:
    """Return the separator that splits the most rows into as many fields as the first row."""
    agreement = {}
    for separator in _SEPARATORS:
        rows = _rows(lines, separator)
        if rows and (count := len(rows[0][0])) >= least:
            agreement[separator] = (sum(len(row) == count for row, _ in rows[1:]), count)
    if not agreement:
        first = next(line for line in lines if line.strip())
        raise DataError(
            f"{file}: no known separator splits the first row into user, movie and rating: {first[:80]!r}; "
            f"set ingest.separator"
        )
    return max(agreement, key=lambda separator: agreement[separator])


def _rows(lines: Sequence[str], separator: str) -> list[tuple[list[str], int]]:
    """Return the first rows that are not blank, each with the number of lines up to its end."""
    if len(separator.encode()) > 1:
        cut = ((line.split(separator), count) for count, line in enumerate(lines, 1) if line.strip())
        return [([field.strip() for field in row], count) for row, count in islice(cut, _MOST_ROWS)]
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=separator)
    rows: list[tuple[list[str], int]] = []
    try:
        for row in reader:
            if any(field.strip() for field in row):
                rows.append(([field.strip() for field in row], reader.line_num))
            if len(rows) == _MOST_ROWS:
                break
    except csv.Error:  # a field of more than 128 KiB
        pass
    return rows


def _fields(line: str, separator: str) -> list[str]:
    rows = _rows([line], separator)
    return rows[0][0] if rows else []
