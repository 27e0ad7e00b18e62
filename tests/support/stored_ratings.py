"""Ratings as they are stored, as rows that a test can compare."""

import pyarrow as pa


def rows_in(table: pa.Table) -> list[tuple[str, str, float, float | None]]:
    """Return the rows; the time in seconds, whole where it is, so that most tests need no nanoseconds."""
    columns = [table[name].to_pylist() for name in table.column_names[:3]]
    moments = table["timestamp"].cast(pa.int64()).to_pylist()
    return list(zip(*columns, [_seconds(moment) for moment in moments], strict=True))


def _seconds(nanoseconds: int | None) -> float | None:
    if nanoseconds is None:
        return None
    whole, rest = divmod(nanoseconds, 1_000_000_000)
    return whole + rest / 1e9 if rest else whole
