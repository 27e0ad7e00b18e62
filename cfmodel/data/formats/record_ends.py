"""Splitting of delimited text into records; a quoted field may hold line feeds."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

#: Longest record. Without a limit one quote that is not closed would swallow the rest of the file.
_MOST_RECORD_BYTES = 4 * 1024 * 1024
_LINE_FEED, _QUOTE = 10, 34
_BLANKS = [9, 32]
#: Blanks before or after a quote that are looked past all at once; more are found one record after the other.
_MOST_BLANKS = 20

_Ends = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RecordBlock:
    """Whole records.

    Attributes:
        data: The records' bytes, each with its line feed.
        ends: Position of each record's line feed, shape (R,).
        fault: The problem, if the block is a single line that is not a record; else None.
    """

    data: bytes
    ends: _Ends
    fault: str | None = None

    @cached_property  # asked for once for each bad row
    def spans(self) -> tuple[_Ends, _Ends]:
        """Positions of the first byte and the line feed of each record that is not empty."""
        starts = np.concatenate([[0], self.ends[:-1] + 1]) if len(self.ends) else self.ends
        filled = self.ends > starts
        return starts[filled], self.ends[filled]


def split_into_records(blocks: Iterator[bytes], separator: str | None) -> Iterator[RecordBlock]:
    """Split a stream into blocks of whole records.

    A quote that is closed in another line, but not at the end of a field, was opened by mistake: only
    its own line is bad, and the lines after it are records of their own.

    Args:
        blocks: UTF-8 text with line feeds as line ends.
        separator: One byte between two fields. Quotes count at the start of a field, also after
            blanks. None: quotes never count.
    """
    rest, skipping = b"", False
    for block in blocks:
        rest += block
        if skipping:
            _, newline, rest = rest.partition(b"\n")
            skipping = not newline
        while True:
            found, rest = _cut(rest, separator)
            yield from found
            if len(rest) <= _MOST_RECORD_BYTES:
                break
            faulty, rest, skipping = _faulty_line(rest)
            yield faulty
    while rest:
        found, rest = _cut(rest if rest.endswith(b"\n") else rest + b"\n", separator)
        yield from found
        if rest:
            faulty, rest, _ = _faulty_line(rest)
            yield faulty


def _cut(rest: bytes, separator: str | None) -> tuple[list[RecordBlock], bytes]:
    """Return the whole records at the front, and the bytes after them."""
    data = np.frombuffer(rest, np.uint8)
    newlines = np.flatnonzero(data == _LINE_FEED)
    if separator is not None and b'"' in rest:
        quotes = np.flatnonzero(data == _QUOTE)
        if not _quotes_alternate(data, quotes, ord(separator)):
            return _match_records(rest, separator.encode())
        newlines = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
    if not len(newlines):
        return [], rest
    end = int(newlines[-1]) + 1
    return [RecordBlock(rest[:end], newlines)], rest[end:]


def _faulty_line(rest: bytes) -> tuple[RecordBlock, bytes, bool]:
    """Return the first line as a faulty block, the bytes after it, and whether its end is still to come."""
    line, newline, others = rest.partition(b"\n")
    fault = "quote is not closed" if newline and len(line) <= _MOST_RECORD_BYTES else "row is longer than 4 MiB"
    return RecordBlock(line[:_MOST_RECORD_BYTES], np.empty(0, np.int64), fault), others, not newline


def _quotes_alternate(data: npt.NDArray[np.uint8], quotes: _Ends, separator: int) -> bool:
    """Return whether all quotes open at the start of a field and close at its end, blanks around them aside.

    If so, a line feed is outside of quotes when an even number of quotes precede it. A doubled quote
    closes and opens again.
    """
    opening, closing = quotes[0::2], quotes[1::2]
    before = _at_border(data, opening - 1, separator, step=-1)
    return bool(before.all() and _at_border(data, closing + 1, separator, step=1).all())


def _at_border(data: npt.NDArray[np.uint8], places: _Ends, separator: int, *, step: int) -> npt.NDArray[np.bool_]:
    """Return which places are borders of a field: at a separator, line feed or quote, or after blanks at the former."""
    border, blank = np.zeros(256, bool), np.zeros(256, bool)
    border[[separator, _LINE_FEED]] = blank[_BLANKS] = True
    blank[separator] = False
    last = len(data) - 1
    found = border[data[np.clip(places, 0, last)]] | (places < 0) | (places > last)
    found |= data[np.clip(places, 0, last)] == _QUOTE
    for _ in range(_MOST_BLANKS if not found.all() else 0):
        open_places = np.flatnonzero(~found)
        moved = places[open_places]
        moved = moved[blank[data[moved]]] + step
        if len(moved) < len(open_places):
            break
        places = places.copy()
        places[open_places] = moved
        found[open_places] = (moved < 0) | (moved > last) | border[data[np.clip(moved, 0, last)]]
        if found.all():
            break
    return found


def _match_records(rest: bytes, separator: bytes) -> tuple[list[RecordBlock], bytes]:
    """Find records one by one with a regular expression, since some quotes are inside a field."""
    record, incomplete = _patterns(separator)
    blocks: list[RecordBlock] = []
    start = place = 0
    ends: list[int] = []
    while place < len(rest):
        if found := record.match(rest, place):
            place = found.end()
            ends.append(place - 1 - start)
            continue
        if ends:
            blocks.append(RecordBlock(rest[start:place], np.array(ends, np.int64)))
            start, ends = place, []
        if incomplete.match(rest, place):
            break
        place = rest.index(b"\n", place) + 1
        blocks.append(RecordBlock(rest[start : place - 1], np.empty(0, np.int64), "quote is not closed"))
        start = place
    if ends:
        blocks.append(RecordBlock(rest[start:place], np.array(ends, np.int64)))
    return blocks, rest[place:]


def without_blanks_before_quotes(data: bytes, separator: str) -> bytes:
    """Return whole records without the blanks around quoted fields, which pyarrow takes for a part of the field."""
    if b' "' not in data and b'\t"' not in data:
        return data
    bytes_ = np.frombuffer(data, np.uint8)
    quotes = np.flatnonzero(bytes_ == _QUOTE)
    if _quotes_alternate(bytes_, quotes, ord(separator)):
        return np.delete(bytes_, _blanks_before(bytes_, quotes[0::2], ord(separator))).tobytes()
    blanks, apart, quoted, in_one_line, bare = _field_patterns(separator.encode())
    if not re.search(rb'(?:\A|[%b\n])%b+"' % (apart, blanks), data):
        return data
    pattern = rb"(?:%b*+(%b)%b*+|%b*+(%b)|(%b))([%b\n])" % (blanks, quoted, blanks, blanks, in_one_line, bare, apart)
    return re.sub(pattern, rb"\1\2\3\4", data)


def _blanks_before(data: npt.NDArray[np.uint8], places: _Ends, separator: int) -> _Ends:
    """Return the places of the blanks right before some places."""
    found = [places[:0]]
    blanks = [code for code in _BLANKS if code != separator]
    while len(places):
        places = places[places > 0] - 1
        places = places[np.isin(data[places], blanks)]
        found.append(places)
    return np.concatenate(found)


@cache
def _patterns(separator: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return patterns for a whole record, and for the start of a record whose end is still to come."""
    blanks, apart, quoted, in_one_line, bare = _field_patterns(separator)
    field = rb"(?:%b*+%b%b*+|%b*+%b|%b)" % (blanks, quoted, blanks, blanks, in_one_line, bare)
    record = rb"%b(?:%b%b)*+\n" % (field, apart, field)
    open_field = rb'(?:%b*+"(?:[^"]++|"")*+(?:"%b*+)?|%b*+%b|%b)' % (blanks, blanks, blanks, in_one_line, bare)
    return re.compile(record), re.compile(rb"(?:%b%b)*+%b\Z" % (field, apart, open_field))


def _field_patterns(separator: bytes) -> tuple[bytes, bytes, bytes, bytes, bytes]:
    """Return patterns for a blank, the separator, and a field in quotes, with quotes in one line, and without any."""
    blanks, apart = rb"[ ]" if separator == b"\t" else rb"[ \t]", re.escape(separator)
    quoted = rb'"(?:[^"]++|"")*+"(?=%b*+[%b\n])' % (blanks, apart)
    in_one_line = rb'"(?:[^"\n]++|"")*+"[^%b\n]*+' % apart
    bare = rb'(?!%b*+")[^%b\n]*+' % (blanks, apart)
    return blanks, apart, quoted, in_one_line, bare
