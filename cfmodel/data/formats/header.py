"""The start of delimited text: its separator, its header and the comments above it."""

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from cfmodel.config import IngestSettings
from cfmodel.data.formats.column_roles import is_header, names_all_roles
from cfmodel.errors import DataError

#: Starts a comment line: above the first row, or with another number of fields than the rows.
COMMENT = "#"
#: Those above the first row; KONECT and MATLAB write the second.
_COMMENTS = (COMMENT, "%")
#: Stands for any run of blanks and tabs, as in columns that are aligned.
BLANKS = " "
_SEPARATORS = ("::", "\t", ",", ";", "|", "\x01")
_MOST_ROWS = 100
#: Most lines above a table to look for it below them.
_MOST_ABOVE = 30
#: Share of the first rows that decides about all.
_MOST_OF = 0.9
#: Excel's first line that names the separator.
_EXCEL = re.compile(r'"?sep=(.)"?\1*\s*', re.IGNORECASE)
#: Lines around rows: rulers of drawn tables, counts below them, the ends of PostgreSQL's COPY and of a DOS file.
_NO_ROW = re.compile(
    r"[-+|=:\s]*[-=]{2}[-+|=:\s]*|\(\d+ rows?( affected)?\)|\d+ rows? (selected|in set).*|\\\.|\x1a+", re.IGNORECASE
)
_FIELD = re.compile(r'"((?:[^"]|"")*)"(?!\S)|(\S+)')


@dataclass(frozen=True)
class Header:
    """The start of delimited text.

    Attributes:
        separator: Text between two fields.
        names: The columns' names, empty for those without one; None if there is no header row.
        width: Number of fields of a row.
        places: Index of each column that may have a role; the others are empty in every row.
        skipped_lines: Lines before the first row of values.
        text: The header row as it stands in the file, empty if there is none.
        ruler: The line drawn below it, empty if there is none.
    """

    separator: str
    names: tuple[str, ...] | None
    width: int
    places: Sequence[int]
    skipped_lines: int
    text: str = ""
    ruler: str = ""


def read_header(lines: Sequence[str], settings: IngestSettings, *, file: str) -> Header:
    """Detect separator and header of delimited text.

    Args:
        lines: The first lines; at least one is not blank.

    Raises:
        DataError: No separator splits the rows into enough columns, or the header does not fit the rows.
    """
    least = 2 if settings.layout == "wide" else 3
    filled = [at for at, line in enumerate(lines) if line.strip()]
    excel = _EXCEL.fullmatch(lines[filled[0]])
    if excel and len(filled) > 1:
        filled = filled[1:]
    start = next((at for at in filled if not _is_comment(lines[at])), filled[0])
    separator = settings.separator or (excel and excel[1]) or _separator(lines[start:], least)
    rows = _rows(lines[start:], separator or ",")
    if separator is None or not rows or len(rows[0][0]) < least:
        raise DataError(f"{file}: {_too_few([lines[at] for at in filled if at >= start], least, settings)}")
    row = rows[0][0]
    titles = next((at for at, (fields, _) in enumerate(rows[:_MOST_ABOVE]) if names_all_roles(fields)), 0)
    if settings.header is None and titles and all(sum(map(bool, fields)) == 1 for fields, _ in rows[:titles]):
        raise DataError(f"{file}: {_lines_above(titles, lines[start])}")
    if all(len(field) > 1 and field[0] == field[-1] == "'" for field in row[:2]):
        raise DataError(f"{file}: fields are in single quotes: {lines[start][:80]!r}; write double quotes, or none")
    above = [at for at in filled if at < start]
    if above and settings.header is None and (found := _in_comments(lines, above, separator, len(row))) is not None:
        return found
    if is_header(row, settings) if settings.header is None else settings.header:
        return _named(lines, start, rows, separator, settings, file)
    return Header(separator, None, len(row), _filled_columns([fields for fields, _ in rows], settings), start)


def _in_comments(lines: Sequence[str], above: Sequence[int], separator: str, width: int) -> Header | None:
    """Return the header if the last comment above the first row is one, or a row whose id begins with #; else None."""
    last = [field.strip() for field in fields_of(lines[above[-1]], separator)]
    if len(last) == width and _is_row(last) and last[0] not in _COMMENTS:
        first = next(at for at in above if _is_row(fields_of(lines[at], separator)))
        return Header(separator, None, width, range(width), first)
    names = [last[0].lstrip("".join(_COMMENTS)).strip(), *last[1:]] if last else []
    if len(names) == width and names_all_roles(names):
        return Header(separator, tuple(names), width, range(width), above[-1] + 1)
    return None


def _named(
    lines: Sequence[str],
    start: int,
    rows: Sequence[tuple[list[str], int]],
    separator: str,
    settings: IngestSettings,
    file: str,
) -> Header:
    """Return the header that is the first row, with a name for every column of the rows below."""
    row, used = rows[0]
    text, below = "\n".join(lines[start : start + used]).strip("\n"), lines[start + used :]
    ruler = below[0] if below and _is_ruler(below[0], separator) else ""
    used += bool(ruler)
    fits = partial(_has_row_names, lines=below, separator=separator, wide=settings.layout == "wide")
    others = [fields for fields, _ in rows if fields != row]
    names, empty = _fitted(row, others, fits, f"{file}: the header {lines[start][:80]!r}")
    return Header(separator, names, len(names) + empty, range(len(names)), start + used, text, ruler)


def _too_few(lines: Sequence[str], least: int, settings: IngestSettings) -> str:
    """Return why the first row cannot be a rating, and what to do."""
    shown, given = f"{lines[0][:80]!r}", settings.separator
    starts = range(1, min(len(lines) - 1, _MOST_ABOVE))
    if (above := next((at for at in starts if _begins_table(lines[at : at + _MOST_ROWS], least, given)), 0)) > 0:
        return _lines_above(above, lines[0])
    count = len(fields_of(lines[0], given or ","))
    if given is not None and count != 2:
        return (
            f"ingest.separator = {given!r} cuts the first row into {count} field(s), not user, movie and rating: "
            f"{shown}; set it to the text between two fields, or leave it out if that is a usual one"
        )
    cut = {mark: fields_of(lines[0], mark) for mark in _SEPARATORS}
    whole = cut[","][0] if cut[","] else ""
    if len(cut[","]) == 1 and whole != lines[0].strip() and any(len(fields_of(whole, mark)) >= least for mark in cut):
        return f"each row is in quotes as a whole: {shown}; remove the quotes around the rows"
    if least == 3 and any(len(fields) == 2 for fields in cut.values()):
        other = "" if given else ", or set ingest.separator if another text is between them"
        return f"rows have two fields, not user, movie and rating: {shown}; add the rating to each row{other}"
    return (
        f"no known separator splits the first row into user, movie and rating: {shown}; set ingest.separator, or "
        f"write the ratings as CSV if there is none"
    )


def _lines_above(count: int, first: str) -> str:
    return (
        f"{count} line(s) above the table are no rows, first {first[:80]!r}; remove them, or begin each with {COMMENT}"
    )


def _begins_table(lines: Sequence[str], least: int, given: str | None) -> bool:
    """Return whether a header of known names, or rows of the same number of fields, begin at the first line."""
    if (separator := given or _separator(lines, least)) is None:
        return False
    rows = [fields for fields, _ in _rows(lines, separator)][:3]
    return len(rows) > 1 and len({len(row) for row in rows}) == 1 and (len(rows[0]) >= least and _is_row(rows[1]))


def _filled_columns(rows: Sequence[Sequence[str]], settings: IngestSettings) -> Sequence[int]:
    """Return the columns that are not empty in every row, as between doubled separators or after the last."""
    width, wanted = len(rows[0]), settings.columns
    if settings.layout == "wide" or any((wanted.user_id, wanted.movie_id, wanted.rating, wanted.timestamp)):
        return range(width)  # a movie may be rated further down, and the columns' numbers are those of the file
    filled = [at for at in range(width) if any(row[at] for row in rows if len(row) == width)]
    return filled if len(filled) >= 3 else range(width)


def _fitted(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    has_row_names: Callable[[list[Sequence[str]]], bool],
    where: str,
) -> tuple[tuple[str, ...], int]:
    """Return a name for every field of the rows, and how many empty fields without a name follow.

    R writes row names below no name, so that the header has one field less than the rows. Some programs
    end each row, or only the header, with a separator.

    Raises:
        DataError: Almost all rows have another number of fields than the header, for another reason.
    """
    widths = Counter(len(row) for row in rows)
    width, times = widths.most_common(1)[0] if rows else (len(names), 0)
    if width == len(names) or times < _MOST_OF * len(rows):
        return tuple(names), 0
    rows = [row for row in rows if len(row) == width]
    if width < len(names) and not any(names[width:]):
        return tuple(names[:width]), 0
    if width > len(names) and not any(any(row[len(names) :]) for row in rows):
        return tuple(names), width - len(names)
    if width == len(names) + 1 and has_row_names(rows):
        return ("", *names), 0
    raise DataError(
        f"{where} names {len(names)} columns, and the rows have {width} fields: {str(rows[0])[:80]}; name each field "
        f"of a row in the header, and put fields that hold the separator in quotes"
    )


def _has_row_names(rows: Sequence[Sequence[str]], *, lines: Sequence[str], separator: str, wide: bool) -> bool:
    """Return whether the first fields name the rows, and no separator within a field makes the field too much.

    They are numbers in order, or texts in quotes; with a comma, both, unless the last two fields cannot be
    the halves of a decimal number.
    """
    names = [row[0] for row in rows]
    steps = zip(["0", *names], names, strict=False)
    in_order = all(name in ("0", "1") or (name.isdecimal() and name == str(int(last or 0) + 1)) for last, name in steps)
    quoted = all(line.lstrip().startswith('"') for line in lines[:_MOST_ROWS] if line.strip())
    if separator != ",":
        return in_order or (quoted and len(set(names)) == len(names))
    halves = not wide and all(row[-2].lstrip("+-").isdecimal() and row[-1].isdecimal() for row in rows)
    return quoted and (in_order or (len(set(names)) == len(names) and not halves))


def is_no_row(line: str) -> bool:
    """Return whether a line is drawn or counts rows, and holds none."""
    return _NO_ROW.fullmatch(line.strip(" \t\r")) is not None


def _is_ruler(line: str, separator: str) -> bool:
    """Return whether the line below a header is drawn."""
    return is_no_row(line) or (bool(line.strip()) and all(set(field) == {"-"} for field in fields_of(line, separator)))


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith(_COMMENTS) or is_no_row(line)


def _is_row(fields: Sequence[str]) -> bool:
    return len(fields) >= 3 and any(field.strip().replace(".", "", 1).isdecimal() for field in fields[1:])


def _separator(lines: Sequence[str], least: int) -> str | None:
    """Return the separator that splits the most rows into as many fields as the first row, or one more; or None."""
    agreement = {}
    for separator in _SEPARATORS:
        rows = _rows(lines, separator)
        if rows and (count := len(rows[0][0])) >= least:
            counts = Counter(len(row) for row, _ in rows[1:])
            agreement[separator] = (max(counts[count], counts[count + 1]), count)
    if not agreement and _is_aligned(_rows(lines, BLANKS), least):
        return BLANKS
    if not agreement:
        return None
    return max(agreement, key=lambda separator: agreement[separator])


def _is_aligned(rows: Sequence[tuple[list[str], int]], least: int) -> bool:
    """Return whether blanks cut rows into columns, and not sentences into words."""
    first = rows[0][0]
    below = [row for row, _ in rows if row != first] or [first]
    widths = {len(row) for row in below}
    return len(widths) == 1 and least <= len(first) in (*widths, min(widths) - 1) and all(map(_is_row, below))


def _rows(lines: Sequence[str], separator: str) -> list[tuple[list[str], int]]:
    """Return the first rows that are not blank, each with the number of lines up to its end."""
    if separator == BLANKS or len(separator.encode()) > 1:
        filled = ((line, count) for count, line in enumerate(lines, 1) if line.strip() and not is_no_row(line))
        cut = ((_cut(line, separator), count) for line, count in islice(filled, _MOST_ROWS))
        return [([field.strip() for field in row], count) for row, count in cut]
    reader = csv.reader((f"{line}\n" for line in lines), delimiter=separator, skipinitialspace=True)
    rows: list[tuple[list[str], int]] = []
    try:
        for row in reader:
            if any(field.strip() for field in row) and not is_no_row("|".join(row)):
                rows.append(([field.strip() for field in row], reader.line_num))
            if len(rows) == _MOST_ROWS:
                break
    except csv.Error:  # a field of more than 128 KiB
        pass
    return rows


def _cut(line: str, separator: str) -> list[str]:
    if separator != BLANKS:
        return line.split(separator)
    return [found[2] or found[1].replace('""', '"') for found in _FIELD.finditer(line)]


def fields_of(line: str, separator: str) -> list[str]:
    """Return the fields of a line without the blanks around them; none for a blank or drawn line."""
    rows = _rows([line], separator)
    return rows[0][0] if rows else []
