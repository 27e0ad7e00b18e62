"""Where one record of delimited text ends and the next begins, quoted line feeds included."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

#: A record is never longer: a quote that opens and does not close would else swallow the file.
MOST_RECORD_BYTES = 4 * 1024 * 1024
_LINE_FEED, _QUOTE = 10, 34

Ends = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Block:
    """Whole records.

    Attributes:
        data: Their bytes, each record with its line feed.
        ends: Place of each record's line feed, shape (R,).
        fault: Why the block's one line is no record; None where the block is sound.
    """

    data: bytes
    ends: Ends
    fault: str | None = None

    @property
    def spans(self) -> tuple[Ends, Ends]:
        """First byte and line feed of each record that is not empty."""
        starts = np.concatenate([[0], self.ends[:-1] + 1]) if len(self.ends) else self.ends
        filled = self.ends > starts
        return starts[filled], self.ends[filled]


def blocks_of_records(blocks: Iterator[bytes], separator: str | None) -> Iterator[Block]:
    """Cut a stream after records.

    A quote that is closed in another line, but not at the end of a field, is taken for one that opened by
    mistake: its line alone is faulty, and the lines it would have swallowed are rows.

    Args:
        blocks: Bytes of UTF-8 whose lines end in a line feed.
        separator: Text between two fields. Quotes count only where it is one character, and only at
            the start of a field; None where they never do.
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
            if len(rest) <= MOST_RECORD_BYTES:
                break
            faulty, rest, skipping = _faulty_line(rest)
            yield faulty
    while rest:
        found, rest = _cut(rest if rest.endswith(b"\n") else rest + b"\n", separator)
        yield from found
        if rest:
            faulty, rest, _ = _faulty_line(rest)
            yield faulty


def _cut(rest: bytes, separator: str | None) -> tuple[list[Block], bytes]:
    """Take the whole records from the front, and return what is left."""
    data = np.frombuffer(rest, np.uint8)
    newlines = np.flatnonzero(data == _LINE_FEED)
    if separator is not None and len(separator.encode()) == 1 and b'"' in rest:
        quotes = np.flatnonzero(data == _QUOTE)
        if not _alternate(data, quotes, ord(separator)):
            return _walked(rest, separator.encode())
        newlines = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
    if not len(newlines):
        return [], rest
    end = int(newlines[-1]) + 1
    return [Block(rest[:end], newlines)], rest[end:]


def _faulty_line(rest: bytes) -> tuple[Block, bytes, bool]:
    """Give up on the first line: of what is left it alone is known to be no record.

    Returns:
        The line, what follows it, and whether the line's end is still to come.
    """
    line, newline, others = rest.partition(b"\n")
    fault = "quote is not closed" if newline and len(line) <= MOST_RECORD_BYTES else "row is longer than 4 MiB"
    return Block(line[:MOST_RECORD_BYTES], np.empty(0, np.int64), fault), others, not newline


def _alternate(data: npt.NDArray[np.uint8], quotes: Ends, separator: int) -> bool:
    """Tell whether quotes open at the start of a field and close at its end throughout.

    Then a line feed is outside of quotes where an even number of them precede it. A doubled quote
    closes and opens again.
    """
    border = np.zeros(256, bool)
    border[[separator, _LINE_FEED, _QUOTE]] = True
    opening, closing = quotes[0::2], quotes[1::2]
    before = data[np.maximum(opening - 1, 0)]
    after = data[np.minimum(closing + 1, len(data) - 1)]
    return bool((border[before] | (opening == 0)).all() and (border[after] | (closing == len(data) - 1)).all())


def _walked(rest: bytes, separator: bytes) -> tuple[list[Block], bytes]:
    """Walk record by record, as quotes stand where they open or close nothing."""
    record, incomplete = _patterns(separator)
    blocks: list[Block] = []
    start = place = 0
    ends: list[int] = []
    while place < len(rest):
        if found := record.match(rest, place):
            place = found.end()
            ends.append(place - 1 - start)
            continue
        if ends:
            blocks.append(Block(rest[start:place], np.array(ends, np.int64)))
            start, ends = place, []
        if incomplete.match(rest, place):
            break
        place = rest.index(b"\n", place) + 1
        blocks.append(Block(rest[start : place - 1], np.empty(0, np.int64), "quote is not closed"))
        start = place
    if ends:
        blocks.append(Block(rest[start:place], np.array(ends, np.int64)))
    return blocks, rest[place:]


@cache
def _patterns(separator: bytes) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Return patterns of a whole record, and of what may become one with the bytes that are still to come."""
    apart = re.escape(separator)
    quoted = rb'"(?:[^"]++|"")*+"(?=[%b\n])' % apart
    in_one_line = rb'"(?:[^"\n]++|"")*+"[^%b\n]*+' % apart
    bare = rb'(?!")[^%b\n]*+' % apart
    field = rb"(?:%b|%b|%b)" % (quoted, in_one_line, bare)
    record = rb"%b(?:%b%b)*+\n" % (field, apart, field)
    open_field = rb'(?:"(?:[^"]++|"")*+"?|%b|%b)' % (in_one_line, bare)
    return re.compile(record), re.compile(rb"(?:%b%b)*+%b\Z" % (field, apart, open_field))
