"""The first row of delimited text: what separates its fields, and whether they are names."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from cfmodel.config import IngestSettings
from cfmodel.data.formats.column_roles import is_header, names_all_roles
from cfmodel.errors import DataError

#: Starts a comment: a line with another number of fields than the rows have, or one above them.
COMMENT = "#"
_SEPARATORS = ("::", "\t", ",", ";", "|")
_ROWS_LOOKED_AT = 100


@dataclass(frozen=True)
class Header:
    """How delimited text begins.

    Attributes:
        separator: Text between two fields.
        names: The columns' names, None where the first row is one of values.
        count: Number of columns.
        skipped_lines: Lines before the first row of values.
    """

    separator: str
    names: tuple[str, ...] | None
    count: int
    skipped_lines: int


def read_header(lines: Sequence[str], settings: IngestSettings, *, file: str) -> Header:
    """Read how delimited text begins.

    Args:
        lines: The first lines, one of them not blank.
        settings: Separator and header where the caller knows them, and the layout.
        file: The file's name, for the refusals.

    Raises:
        DataError: No separator cuts the rows into columns enough.
    """
    least = 2 if settings.layout == "wide" else 3
    filled = [place for place, line in enumerate(lines) if line.strip()]
    start = next((place for place in filled if not _is_comment(lines[place])), filled[0])
    separator = settings.separator or _separator(file, lines[start:], least)
    rows = _rows(lines[start:], separator)
    if not rows or len(rows[0][0]) < least:
        fields = f"{len(rows[0][0])} field(s)" if rows else "no fields"
        raise DataError(f"{file}: rows have {fields}, not user, movie and rating; set ingest.separator")
    row, taken = rows[0]
    above = [place for place in filled if place < start]
    if above and settings.header is None:
        # A line above the first row is a comment, unless it is a row of an id that begins like one, or the header.
        told = [field.strip() for field in _fields(lines[above[-1]], separator)]
        if len(told) == len(row) and _is_row(told):
            first = next(place for place in above if _is_row(_fields(lines[place], separator)))
            return Header(separator, None, len(row), first)
        uncommented = [told[0].lstrip(COMMENT).strip(), *told[1:]] if told else []
        if len(uncommented) == len(row) and names_all_roles(uncommented):
            return Header(separator, tuple(uncommented), len(row), start)
    named = is_header(row, settings) if settings.header is None else settings.header
    return Header(separator, tuple(row) if named else None, len(row), start + (taken if named else 0))


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith(COMMENT)


def _is_row(fields: Sequence[str]) -> bool:
    return len(fields) >= 3 and any(field.strip().replace(".", "", 1).isdecimal() for field in fields[1:])


def _separator(file: str, lines: Sequence[str], least: int) -> str:
    """Return the separator that cuts the most rows into as many fields as the first."""
    agreement = {}
    for separator in _SEPARATORS:
        rows = _rows(lines, separator)
        if rows and (count := len(rows[0][0])) >= least:
            agreement[separator] = (sum(len(row) == count for row, _ in rows[1:]), count)
    if not agreement:
        first = next(line for line in lines if line.strip())
        raise DataError(
            f"{file}: no separator cuts the first row into user, movie and rating: {first[:80]!r}; set ingest.separator"
        )
    return max(agreement, key=lambda separator: agreement[separator])


def _rows(lines: Sequence[str], separator: str) -> list[tuple[list[str], int]]:
    """Return the first rows that are not blank, and how many lines were taken up to each."""
    if len(separator.encode()) > 1:
        cut = ((line.split(separator), place + 1) for place, line in enumerate(lines) if line.strip())
        return [([field.strip() for field in row], taken) for row, taken in islice(cut, _ROWS_LOOKED_AT)]
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=separator)
    rows: list[tuple[list[str], int]] = []
    try:
        for row in reader:
            if any(field.strip() for field in row):
                rows.append(([field.strip() for field in row], reader.line_num))
            if len(rows) == _ROWS_LOOKED_AT:
                break
    except csv.Error:  # a field of more than 128 KiB
        pass
    return rows


def _fields(line: str, separator: str) -> list[str]:
    rows = _rows([line], separator)
    return rows[0][0] if rows else []
