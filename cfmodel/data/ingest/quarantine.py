"""The quarantine: a file of the bad rows, each with its text and reason."""

import math
from collections import Counter
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from cfmodel.config import IngestSettings
from cfmodel.data.formats.raw_rows import REMEDY, SET_ASIDE, CheckedRows
from cfmodel.errors import DataError
from cfmodel.schema import MOVIE_ID, RATING, TIMESTAMP, USER_ID

_QUARANTINE = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)


_ROLES = (USER_ID, MOVIE_ID, RATING, TIMESTAMP)


class Quarantine:
    """A Parquet file of bad rows; it is created with the first one.

    Attributes:
        by_reason: Number of bad rows for each reason.
    """

    def __init__(self, path: Path, settings: IngestSettings) -> None:
        self._path = path
        self._settings = settings
        self._writer: pq.ParquetWriter | None = None
        self._first = ""
        self.by_reason: Counter[str] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def add(self, file: str, checked: CheckedRows, *, rows: int, others: bool = False, remedy: str = "") -> None:
        """Add the bad rows of a block of a file.

        Args:
            rows: Number of rows of the block.
            others: Whether the source holds ratings before this block.
            remedy: What to do if no row is a rating.

        Raises:
            DataError: There is a bad row and `ingest.on_bad_row` is 'stop'; the message has every kind of problem.
        """
        bad = checked.bad
        if not bad:
            return
        told = tell_bad_rows(file, checked, self._settings, rows=rows, others=others, remedy=remedy)
        if self._settings.on_bad_row == "stop":
            raise DataError("\n".join(told))
        self._first = self._first or told[0]
        self.by_reason.update(row.reason for row in bad)
        columns = [
            pa.array([file] * len(bad)),
            pa.array([row.number for row in bad], pa.int64()),
            pa.array([row.text.encode(errors="replace").decode() for row in bad], pa.string()),
            pa.array([row.reason for row in bad]),
        ]
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, _QUARANTINE, compression="zstd", write_page_checksum=True)
        self._writer.write_batch(pa.record_batch(columns, schema=_QUARANTINE))

    def require_few(self, rows_in: int, *, keep: Path) -> None:
        """Refuse a source with too many bad rows.

        Args:
            rows_in: Number of rows of the source.
            keep: Where to put the quarantine file if the source is refused, so that it can be examined.

        Raises:
            DataError: The share of bad rows is above `ingest.max_bad_fraction`.
        """
        rows = self.by_reason.total()
        if rows <= self._settings.max_bad_fraction * rows_in:
            return
        keep.parent.mkdir(parents=True, exist_ok=True)
        self._path.replace(keep)
        limit = f"correct the source or raise the limit to {share_above(rows, rows_in):g}"
        remedy = limit if rows < rows_in else "correct how they are written or read"
        reasons = "; ".join(f"{reason}: {count:,}" for reason, count in self.by_reason.most_common(5))
        raise DataError(
            f"{rows:,} of {rows_in:,} rows are bad ({reasons}), more than ingest.max_bad_fraction = "
            f"{self._settings.max_bad_fraction:g} allows; {remedy}; the bad rows are in "
            f"{keep}, the first is {self._first}"
        )


def tell_bad_rows(
    file: str, checked: CheckedRows, settings: IngestSettings, *, rows: int, others: bool = False, remedy: str = ""
) -> list[str]:
    """Return a message for each kind of problem of a block's bad rows, in the order of the file.

    A remedy that would not help is left out: setting rows aside where that is set already, or where all of them are
    bad, and without more of them allowed where more of them are.

    Args:
        rows: Number of rows of the block.
        others: Whether the source holds ratings before this block.
        remedy: What to do if no row is a rating.
    """
    first = {row.reason: row for row in reversed(checked.bad)}
    told = [(row.number, row.reason, row.detail or row.reason) for row in first.values()]
    told = sorted([*told, *((number, detail, detail) for number, detail in checked.also)], key=lambda one: one[0])
    kinds = Counter(row.reason for row in checked.bad)
    if not others and rows > 1 and len(checked.bad) >= rows:
        common = f"correct the file, all {rows:,} rows read so far are bad"
        return [
            f"{file}, row {number:,}: {detail.replace(REMEDY, common)}"
            f"{remedy or _another_column(reason, detail, kinds[reason] == rows)}"
            for number, reason, detail in told
        ]
    share, instead = len(checked.bad) / max(rows, 1), SET_ASIDE
    if settings.on_bad_row == "quarantine" or (share >= 1 and not others):
        instead = ""
    elif share > settings.max_bad_fraction and not others:
        instead = f"{SET_ASIDE} and ingest.max_bad_fraction = {share_above(len(checked.bad), rows):g}"
    return [f"{file}, row {number:,}: {detail.replace(SET_ASIDE, instead)}" for number, _, detail in told]


def _another_column(reason: str, detail: str, in_all_rows: bool) -> str:
    role = reason.partition(" ")[0]
    if role not in _ROLES or not in_all_rows or "name another" in detail or "longer" in reason:
        return ""
    return f", or name another column with --set ingest.columns.{role}="


def share_above(bad: int, rows: int) -> float:
    """Return a share with few digits that is not below that of some bad rows."""
    return min(1.0, math.ceil(1000 * bad / rows) / 1000)
