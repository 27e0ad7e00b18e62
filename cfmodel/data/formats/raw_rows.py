"""Rows as a file has them, and rows once they were judged: what readers hand to `rows` and `rows` to the ingest."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cfmodel.schema import MOVIE_ID, RATING, TIMESTAMP, USER_ID

#: As `RATINGS`, with each distinct id once a batch.
CODED = pa.schema(
    [
        pa.field(USER_ID, pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field(MOVIE_ID, pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field(RATING, pa.float64(), nullable=False),
        pa.field(TIMESTAMP, pa.int64()),
    ]
)

#: What a message on a row ends with.
REMEDY = "correct or remove the row, or set ingest.on_bad_row = 'quarantine'"
_MOST_CHARACTERS = 10_000

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be a rating.

    Attributes:
        number: Its number in the file, 1 for the first that is no header; empty lines do not count.
        reason: Why, in words that many rows may share.
        detail: Why, with what stands there and what to do; None where nobody will read it.
        text: The row as the file has it, cut where it is very long.
    """

    number: int
    reason: str
    detail: str | None
    text: str


@dataclass(frozen=True)
class Raw:
    """Rows as a file has them.

    Attributes:
        columns: Named by their roles, of the file's own types.
        numbers: Number of each row in the file, rising, shape (N,).
        text: Gives a row as the file has it by its place in `columns`.
        trim: Whether blanks around an id are no part of it.
        replaced: Whether replacement characters stand where bytes were no UTF-8.
        bad: Rows that could not even be cut into columns.
        ignored: Comments and lines of nothing but blanks.
        unrated: Cells of a wide table that hold no rating.
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
class Judged:
    """Rows once each was judged.

    Attributes:
        ratings: Those that are ratings, in the schema `CODED`.
        bad: Those that cannot be, in the order of the file; the first comes with its detail.
        uncut: How many of the bad could not even be cut into columns.
        unrated: How many say that there is no rating.
        ignored: Comments and lines of nothing but blanks.
    """

    ratings: pa.RecordBatch
    bad: tuple[BadRow, ...]
    uncut: int = 0
    unrated: int = 0
    ignored: int = 0

    @classmethod
    def of_bad(cls, row: BadRow) -> Self:
        """Return a block of one bad row."""
        return cls(pa.RecordBatch.from_pylist([], schema=CODED), (row,), uncut=1)


def told(value: object) -> str:
    """Return a value as a message tells it: no field fills a screen."""
    text = repr(value)
    return text if len(text) <= 100 else text[:100] + "..."


def shortened(text: str) -> str:
    """Return a row's text as it is kept: some 10,000 characters are enough to know it again."""
    return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS] + "..."
