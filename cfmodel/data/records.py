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
            whole, rest = _whole(rest, separator)
            if whole is not None:
                yield whole
            if len(rest) <= MOST_RECORD_BYTES:
                break
            faulty, rest, skipping = _faulty_line(rest)
            yield faulty
    while rest:
        rest = rest if rest.endswith(b"\n") else rest + b"\n"
        whole, rest = _whole(rest, separator)
        if whole is None:
            whole, rest, _ = _faulty_line(rest)
        yield whole


def _whole(rest: bytes, separator: str | None) -> tuple[Block | None, bytes]:
    """Take the whole records from the front."""
    found = record_ends(rest, separator)
    if not len(found):
        return None, rest
    end = int(found[-1]) + 1
    return Block(rest[:end], found), rest[end:]


def record_ends(block: bytes, separator: str | None) -> Ends:
    """Return the place of each line feed that ends a record, the block beginning with one."""
    data = np.frombuffer(block, np.uint8)
    newlines = np.flatnonzero(data == _LINE_FEED)
    if separator is None or len(separator.encode()) > 1 or b'"' not in block:
        return newlines
    quotes = np.flatnonzero(data == _QUOTE)
    if _alternate(data, quotes, ord(separator)):
        outside: Ends = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
        return outside
    return _scanned(block, separator.encode())


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


def _scanned(block: bytes, separator: bytes) -> Ends:
    """Walk record by record: quotes stand where they open nothing."""
    record, ends, place = _record(separator), [], 0
    while found := record.match(block, place):
        place = found.end()
        ends.append(place - 1)
    return np.array(ends, np.int64)


@cache
def _record(separator: bytes) -> re.Pattern[bytes]:
    apart = re.escape(separator)
    field = rb'(?:"(?:[^"]++|"")*+"[^%b\n]*+|(?!")[^%b\n]*+)' % (apart, apart)
    return re.compile(rb"%b(?:%b%b)*+\n" % (field, apart, field))
