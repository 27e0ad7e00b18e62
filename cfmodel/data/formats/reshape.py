"""Texts whose rows are not lines: turn them into lines of delimited text or JSON.

- `movie_sections`, `user_sections`: lines below a line that names their movie (`7:`, the Netflix Prize) or their user
  (`7|22`, KDD Cup 2011). The name becomes the first field of each line.
- `paragraphs`: a line `key: value` for each field, and a blank line between two ratings (the SNAP reviews).
- `json_values`: JSON objects in one array, or each over several lines.
- `escaped_quotes`: delimited text with a backslash before each quote inside quotes, as Spark and MySQL write it.
"""

import codecs
import json
import re
from collections.abc import Iterator
from itertools import chain
from typing import Literal

from cfmodel.errors import DataError

Shape = Literal["movie_sections", "user_sections", "paragraphs", "json_values", "escaped_quotes"]

#: Longest row. More is taken for a fault, so that it is not held in memory.
_MOST_BYTES = 4 * 1024 * 1024
_HEADINGS: dict[Shape, re.Pattern[bytes]] = {
    "movie_sections": re.compile(rb"^([^\s,:]+):[ \t]*\n", re.MULTILINE),
    "user_sections": re.compile(rb"^(\w+)\|\d+[ \t]*\n", re.MULTILINE),
}
#: Names of the fields of a row, that of its section first.
SECTION_NAMES = {
    "movie_sections": ("movie_id", "user_id", "rating", "timestamp"),
    "user_sections": ("user_id", "movie_id", "rating", "day", "minute"),
}
_FIELD = re.compile(r"([A-Za-z_][\w./ -]*?):(?:[ \t]+(.*))?")
#: A quote after a backslash, and then neither the end of a field nor another quote.
_ESCAPED = re.compile(r'"[^"]*\\"[^",;|\t]')
_BLANK_LINES = re.compile(rb"^[ \t]*\n", re.MULTILINE)
_BACKSLASHED = re.compile(rb'\\(["\\])')
_PARAGRAPH_END = re.compile(rb"\n[ \t]*\n")
_DECODER = json.JSONDecoder(strict=False)
_BETWEEN = re.compile(r"[\s,\[\]\x1e]*")
_NEXT = re.compile(r"\}\s*,?\s*(?=\{)")


def shape_of(lines: list[str]) -> Shape | None:
    """Return the shape of a text from its first lines; None if its rows are lines."""
    filled = [line for line in lines if line.strip()][:100]
    first = filled[0].lstrip(" \t\x1e")
    for shape, heading in _HEADINGS.items():
        is_heading = [heading.fullmatch(f"{line}\n".encode(errors="replace")) for line in filled]
        if is_heading[0] and not all(is_heading):
            return shape
    if first.startswith("[") or (first.startswith("{") and ("\x1e" in filled[0] or not _is_one_value(first))):
        return "json_values"
    keys = [found[1] for line in filled[:3] if (found := _FIELD.fullmatch(line.strip()))]
    if len(set(keys)) == 3:
        return "paragraphs"
    return "escaped_quotes" if any(map(_ESCAPED.search, lines)) and not first.startswith("{") else None


def as_rows(blocks: Iterator[bytes], shape: Shape | None, separator: str, *, file: str) -> Iterator[bytes]:
    """Yield a text as lines.

    Args:
        blocks: UTF-8 text with line feeds as line ends.
        separator: Text between two fields; only for sections.

    Raises:
        DataError: A line above a section, or below one, is longer than 4 MiB.
    """
    match shape:
        case None:
            return blocks
        case "paragraphs":
            return _paragraphs(blocks)
        case "json_values":
            return _json_values(blocks)
        case "escaped_quotes":
            return _with_doubled_quotes(blocks)
    return _sections(blocks, _HEADINGS[shape], separator.encode(), file)


def _sections(blocks: Iterator[bytes], heading: re.Pattern[bytes], separator: bytes, file: str) -> Iterator[bytes]:
    rest = name = b""
    for block in chain(blocks, (b"\n",)):
        whole, newline, rest = (rest + block).rpartition(b"\n")
        if len(rest) > _MOST_BYTES:
            raise DataError(f"{file}: a line below {name.decode(errors='replace')!r} is longer than 4 MiB; correct it")
        rows, *others = heading.split(_BLANK_LINES.sub(b"", whole + newline))
        found = [_with_name(name, rows)]
        for heads, rows in zip(others[0::2], others[1::2], strict=True):
            name = heads + separator
            found.append(_with_name(name, rows))
        yield b"".join(found)


def _with_name(name: bytes, rows: bytes) -> bytes:
    return name + rows[:-1].replace(b"\n", b"\n" + name) + b"\n" if rows else b""


def _with_doubled_quotes(blocks: Iterator[bytes]) -> Iterator[bytes]:
    held = b""
    for block in blocks:
        whole = held + block
        # A backslash at the end may belong to the next byte; one of a pair does not.
        held = whole[-1:] if (len(whole) - len(whole.rstrip(b"\\"))) % 2 else b""
        yield _BACKSLASHED.sub(lambda found: b'""' if found[1] == b'"' else b"\\", whole[: len(whole) - len(held)])
    yield held


def _paragraphs(blocks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *whole, rest = _PARAGRAPH_END.split(rest + block)
        if len(rest) > _MOST_BYTES:  # no blank lines: a paragraph begins where the first key comes again
            key = rest.lstrip().partition(b":")[0]
            end = max(rest.rfind(b"\n" + key + b":"), 0) or len(rest)
            whole.append(rest[:end])
            rest = rest[end:]
        yield b"".join(map(_as_json, whole))
    yield _as_json(rest)


def _as_json(paragraph: bytes) -> bytes:
    """Return a paragraph as one line of JSON; as several, if its first key recurs."""
    rows: list[dict[str, str]] = []
    for line in paragraph.decode(errors="surrogateescape").split("\n"):
        if found := _FIELD.fullmatch(line.strip()):
            if not rows or found[1] == next(iter(rows[-1])):
                rows.append({})
            rows[-1].setdefault(found[1], (found[2] or "").strip())
        elif line.strip() and not rows:
            return json.dumps(paragraph.decode(errors="replace")).encode() + b"\n"
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def _json_values(blocks: Iterator[bytes]) -> Iterator[bytes]:
    rest, decoder = "", codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
    for block in blocks:
        found, rest = _json_lines(rest + decoder.decode(block), keep=_MOST_BYTES)
        yield _encoded(found)
    yield _encoded(_json_lines(rest, keep=0)[0])


def _json_lines(text: str, *, keep: int) -> tuple[list[str], str]:
    """Return the whole values at the front, and the text after them.

    Args:
        keep: Length of a value that may be incomplete at the end of the text; a longer one is a fault.
    """
    found: list[str] = []
    place = _after_blanks(text, 0)
    while place < len(text):
        try:
            _, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            if len(text) - place <= keep:
                break
            after = _NEXT.search(text, place)
            end = after.end() if after else len(text)
        found.append(text[place:end][:_MOST_BYTES].rstrip(", \n"))
        place = _after_blanks(text, end)
    return found, text[place:]


def _encoded(lines: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in (part.replace("\n", " ") for part in lines)).encode(errors="surrogateescape")


def _after_blanks(text: str, place: int) -> int:
    """Return the place of the next value: after blanks, commas and the brackets of an array."""
    between = _BETWEEN.match(text, place)
    return place if between is None else between.end()


def _is_one_value(line: str) -> bool:
    """Return whether a line is one JSON value, or none at all, and not one that goes on or that others follow."""
    try:
        _, end = _DECODER.raw_decode(line)
    except (ValueError, RecursionError):
        return not line.rstrip().endswith(("{", ",", "[", ":"))
    return not line[end:].strip().startswith((",", "{"))
