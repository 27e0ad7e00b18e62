"""Rows before and after they are checked, and the rows that fail."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

#: The part of `REMEDY` that `Quarantine` leaves out or completes, where it would not help.
SET_ASIDE = ", or set ingest.on_bad_row = 'quarantine'"
#: The end of every message about a bad row.
REMEDY = f"correct or remove the row{SET_ASIDE}"
_MOST_CHARACTERS = 10_000

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be a rating.

    Attributes:
        number: Its number in the file, from 1 without the header; empty lines do not count.
        reason: The kind of problem, the same for many rows.
        detail: The problem, the value and what to do; None for all but the first row of its reason in a block.
        text: The row's text, cut if it is very long.
    """

    number: int
    reason: str
    detail: str | None
    text: str


@dataclass(frozen=True)
class RawRows:
    """Rows before they are checked.

    Attributes:
        columns: The columns, named by their roles, with the file's own types.
        numbers: Number of each row in the file, rising, shape (N,).
        text: Returns a row's text by its index in `columns`.
        trim: Whether to strip blanks around ids.
        replaced: Whether U+FFFD replaces bytes that were not valid UTF-8.
        bad: Rows that cannot be split into columns.
        ignored: Number of comments and blank lines.
        headers: Number of rows that are the header once more.
        unrated: Number of empty cells of a wide table.
    """

    columns: pa.RecordBatch
    numbers: Numbers
    text: Callable[[int], str]
    trim: bool
    replaced: bool = False
    bad: tuple[BadRow, ...] = ()
    ignored: int = 0
    headers: int = 0
    unrated: int = 0


@dataclass(frozen=True)
class CheckedRows:
    """Rows after they are checked.

    Attributes:
        ratings: The ratings, in the schema `ENCODED_RATINGS`.
        bad: The bad rows, in the order of the file; only the first of each reason has its detail.
        also: Other problems of bad rows, each with the number of the first row.
        uncut: How many bad rows cannot be split into columns.
        unrated: How many rows or cells hold no rating.
        ignored: Number of comments and blank lines.
        times: What the timestamps are written as, such as `milliseconds`; empty without timestamps.
        headers: Number of rows that are the header once more.
    """

    ratings: pa.RecordBatch
    bad: tuple[BadRow, ...]
    uncut: int = 0
    unrated: int = 0
    ignored: int = 0
    headers: int = 0
    also: tuple[tuple[int, str], ...] = ()
    times: str = ""


def short_repr(value: object) -> str:
    """Return the repr of a value for a message, cut at 100 characters."""
    text = repr(value)
    return text if len(text) <= 100 else text[:100] + "..."


def shorten(text: str) -> str:
    """Return a row's text, cut at 10,000 characters."""
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "..."
