"""Rows before and after they are checked, and the rows that fail."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cfmodel.schema import ENCODED_RATINGS

#: The end of every message about a bad row.
REMEDY = "correct or remove the row, or set ingest.on_bad_row = 'quarantine'"
_MOST_CHARACTERS = 10_000

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be a rating.

    Attributes:
        number: Its number in the file, from 1 without the header; empty lines do not count.
        reason: The kind of problem, the same for many rows.
        detail: The problem, the value and what to do; None for all but the first bad row of a block.
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
        unrated: Number of empty cells of a wide table.
    """

    columns: pa.RecordBatch
    numbers: Numbers
    text: Callable[[int], str]
    trim: bool
    replaced: bool = False
    bad: tuple[BadRow, ...] = ()
    ignored: int = 0
    unrated: int = 0


@dataclass(frozen=True)
class CheckedRows:
    """Rows after they are checked.

    Attributes:
        ratings: The ratings, in the schema `ENCODED_RATINGS`.
        bad: The bad rows, in the order of the file; only the first has its detail.
        uncut: How many bad rows cannot be split into columns.
        unrated: How many rows or cells hold no rating.
        ignored: Number of comments and blank lines.
    """

    ratings: pa.RecordBatch
    bad: tuple[BadRow, ...]
    uncut: int = 0
    unrated: int = 0
    ignored: int = 0

    @classmethod
    def of_bad(cls, row: BadRow) -> Self:
        """Return the result for a block that is one bad row."""
        return cls(pa.RecordBatch.from_pylist([], schema=ENCODED_RATINGS), (row,), uncut=1)


def short_repr(value: object) -> str:
    """Return the repr of a value for a message, cut at 100 characters."""
    text = repr(value)
    return text if len(text) <= 100 else text[:100] + "..."


def shorten(text: str) -> str:
    """Return a row's text, cut at 10,000 characters."""
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "..."
