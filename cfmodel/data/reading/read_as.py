"""What a file was taken for, in one line: header, columns, unit of time, encoding and separator."""

from collections.abc import Iterable, Sequence

from cfmodel.data.formats.column_names import WORDS
from cfmodel.data.formats.column_roles import Columns
from cfmodel.data.formats.sniff import FileFormat
from cfmodel.schema import TIMESTAMP

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "blanks"}
_KINDS = {"parquet": "Parquet", "jsonl": "JSON lines"}
_CHANGE = "set ingest.columns to change"
#: Most files that are named, where files of a source differ.
_MOST_NAMED = 3


def describe_format(format: FileFormat, times: str) -> str:
    """Return what a file was taken for.

    Args:
        times: What its timestamps are written as, such as `milliseconds`; empty if unknown.
    """
    kind = _KINDS.get(format.kind, "header" if format.header else "no header")
    how = [] if format.kind == "parquet" else [format.encoding]
    if format.kind == "text":
        how.append(_SEPARATORS.get(format.separator, repr(format.separator)))
    return "; ".join(filter(None, (kind, _describe_columns(format.columns, times), ", ".join(how))))


def read_as(described: Sequence[tuple[str, str]]) -> str:
    """Return one line about all files of a source.

    Args:
        described: The name of each file, and what it was taken for.
    """
    first = dict.fromkeys(text for _, text in described)
    if len(first) < 2:
        return f"read as: {described[0][1]} ({_CHANGE})" if described else ""
    groups = {text: [name for name, other in described if other == text] for text in first}
    parts = [f"{_files(names)}: {text}" for text, names in list(groups.items())[:_MOST_NAMED]]
    more = f" | and {len(groups) - _MOST_NAMED} more ways" if len(groups) > _MOST_NAMED else ""
    return f"read as: {' | '.join(parts)}{more} ({_CHANGE})"


def lines_of(read_as: str, warnings: Iterable[str]) -> list[str]:
    """Return the lines that tell what a source was taken for, and what in it is worth a look."""
    return [line for line in (read_as, *(f"warning: {warning}" for warning in warnings)) if line]


def _files(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} more"


def _describe_columns(columns: Columns, times: str) -> str:
    if columns.movies:
        movies = list(columns.movies.values())
        users = ", ".join(f"{_named(columns, place)} user" for place in columns.roles.values()) or "each row a user"
        return f"wide, {users}, {len(movies):,} movies from {movies[0][:40]!r} to {movies[-1][:40]!r}"
    words = WORDS | {TIMESTAMP: times or "time"}
    parts = [f"{_named(columns, place)} {words[role]}" for role, place in columns.roles.items()]
    if TIMESTAMP not in columns.roles:
        parts.append("no times")
    numbered = "" if columns.named or not parts else "column "
    unused = sum(bool(name) for name in columns.names) - len(columns.roles)
    return f"{numbered}{', '.join(parts)}" + (f", {unused:,} not used" if unused else "")


def _named(columns: Columns, place: int) -> str:
    return repr(columns.names[place][:40]) if columns.named else columns.names[place]
