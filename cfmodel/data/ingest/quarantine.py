"""The quarantine: a file of the bad rows, each with its text and reason."""

from collections import Counter
from pathlib import Path
from typing import Self

import pyarrow as pa
import pyarrow.parquet as pq

from cfmodel.config import IngestSettings
from cfmodel.data.formats.raw_rows import BadRow, without_quarantine
from cfmodel.errors import DataError

_QUARANTINE = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)


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

    def add(self, file: str, bad: tuple[BadRow, ...], *, others: bool = True, remedy: str = "") -> None:
        """Add the bad rows of a block of a file.

        Args:
            others: Whether the source holds other rows, so that it has some without the bad ones.
            remedy: What to do if it does not.

        Raises:
            DataError: There is a bad row and `ingest.on_bad_row` is 'stop'.
        """
        if not bad:
            return
        where = f"{file}, row {bad[0].number:,}: {bad[0].detail or bad[0].reason}"
        if self._settings.on_bad_row == "stop" and (others or len(bad) == 1):
            raise DataError(where)
        if self._settings.on_bad_row == "stop":
            raise DataError(f"{without_quarantine(where)}; all {len(bad):,} rows read so far are bad{remedy}")
        self._first = self._first or without_quarantine(where) + ("" if others else remedy)
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
        remedy = "correct the source or raise the limit" if rows < rows_in else "correct how they are written or read"
        reasons = "; ".join(f"{reason}: {count:,}" for reason, count in self.by_reason.most_common(5))
        raise DataError(
            f"{rows:,} of {rows_in:,} rows are bad ({reasons}), more than ingest.max_bad_fraction = "
            f"{self._settings.max_bad_fraction:g} allows; {remedy}; the bad rows are in "
            f"{keep}, the first is {self._first}"
        )
