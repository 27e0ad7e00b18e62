"""Archive of the monitor's records: two Parquet files that other tools can read too, and the rest as JSON.

`histograms.parquet`: one row per sampled step, table, kind and non-empty bucket.

    phase    text     fit or refit
    epoch    int32    number of the epoch, from 1
    step     int64    number of the update, from 1 in each phase
    table    text     name of the table
    kind     text     gradient: elements of the touched rows' gradients, before clipping;
                      row_norm: L2 norms of those rows
    bucket   int16    sign and exponent of the float32 value, its upper 9 bits: 0 to 511
    low      float64  edges of the bucket: [low, high) above zero, (low, high] below it;
    high     float64  NaN for infinities and NaN
    count    int64    values in the bucket; counts of steps, epochs and runs add up

`steps.parquet`: one row per update.

    phase, epoch, step, loss, mean_squared_error, largest_error, largest_error_user,
    largest_error_movie, total_norm, clip_coefficient, finite, and for each table
    grad_norm/<table> (before clipping) and rows_touched/<table>; see `gradient_records.StepBlock`

`records.json`: every other record by its fields, see `gradient_records`; numbers that are not finite as text.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cfmodel.errors import DigestError
from cfmodel.gradients.recording.buckets import BUCKETS, bucket_edges
from cfmodel.gradients.recording.gradient_records import (
    Counts,
    EpochGradients,
    Floats,
    GradientRecord,
    InitialRecord,
    MonitorCost,
    Outcome,
    StepBlock,
    StepSample,
)
from cfmodel.gradients.recording.plain_json import from_plain, to_plain
from cfmodel.system import atomic

_HISTOGRAMS, _STEPS, _RECORDS = FILES = ("histograms.parquet", "steps.parquet", "records.json")

HISTOGRAM_SCHEMA = pa.schema(
    [
        ("phase", pa.string()),
        ("epoch", pa.int32()),
        ("step", pa.int64()),
        ("table", pa.string()),
        ("kind", pa.string()),
        ("bucket", pa.int16()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("count", pa.int64()),
    ]
)

#: Field of a table's sample that holds each kind of histogram.
_KINDS = {"gradient": "gradient_counts", "row_norm": "row_norm_counts"}
#: Fields of a block that have a column per table, and the prefix of the columns' names.
_PER_TABLE = {"grad_norms": "grad_norm/", "rows_touched": "rows_touched/"}
_SCALARS = [
    field.name for field in fields(StepBlock) if field.name not in {"phase", "epoch", "first_step", *_PER_TABLE}
]
#: Phase, step, table and kind of a histogram.
_HistogramKey = tuple[str, int, str, str]
_IN_JSON = {kind.__name__: kind for kind in (InitialRecord, StepSample, EpochGradients, Outcome, MonitorCost)}


@contextmanager
def archived(folder: Path) -> Iterator[Callable[[object], None]]:
    """Collect the monitor's records in a block and write them to a folder when the block ends, also on an error.

    A training that fails is the one whose gradients matter most.

    Args:
        folder: Written as a whole; not created if there were no records.

    Yields:
        An `on_record`; it ignores records of other kinds.
    """
    kept: list[GradientRecord] = []

    def keep(record: object) -> None:
        if isinstance(record, GradientRecord):
            kept.append(record)

    try:
        yield keep
    finally:
        if kept:
            with atomic.folder(folder, replace=True) as temporary:
                write_archive(temporary, kept)


def write_archive(folder: Path, records: Iterable[GradientRecord]) -> None:
    """Write the monitor's records to three files in an existing folder."""
    kept = list(records)
    samples = [record for record in kept if isinstance(record, StepSample)]
    pq.write_table(_histogram_table(samples), folder / _HISTOGRAMS, compression="zstd")
    pq.write_table(_step_table([record for record in kept if isinstance(record, StepBlock)]), folder / _STEPS)
    others = [_without_histograms(record) for record in kept if not isinstance(record, StepBlock)]
    (folder / _RECORDS).write_text(json.dumps(others, indent=1, allow_nan=False), encoding="utf-8")


def read_archive(folder: Path) -> list[GradientRecord]:
    """Read the records that `write_archive` wrote: the steps first, the others in the order they were made.

    Raises:
        DigestError: A file is missing or cannot be read.
    """
    try:
        blocks = _blocks(pq.read_table(folder / _STEPS))
        counts = _counts(pq.read_table(folder / _HISTOGRAMS))
        others = json.loads((folder / _RECORDS).read_text(encoding="utf-8"))
        return [*blocks, *(_record(entry, counts) for entry in others)]
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DigestError(
            f"{folder}: the gradient records cannot be read ({type(error).__name__}: {error}); expected "
            f"{', '.join(FILES)} as training writes them; train again to record them again"
        ) from error


def _histogram_table(samples: Sequence[StepSample]) -> pa.Table:
    """Return the non-empty buckets of every sample as a table of `HISTOGRAM_SCHEMA`."""
    edges = bucket_edges()
    parts = [
        _filled_buckets(sample, table, kind, edges) for sample in samples for table in sample.tables for kind in _KINDS
    ]
    return pa.concat_tables([HISTOGRAM_SCHEMA.empty_table(), *parts]).combine_chunks()


def _filled_buckets(sample: StepSample, table: str, kind: str, edges: Floats) -> pa.Table:
    counts = getattr(sample.tables[table], _KINDS[kind])
    filled = np.flatnonzero(counts)
    same = {"phase": sample.phase, "epoch": sample.epoch, "step": sample.step, "table": table, "kind": kind}
    columns = {
        name: pa.repeat(pa.scalar(value, HISTOGRAM_SCHEMA.field(name).type), len(filled))
        for name, value in same.items()
    }
    columns |= {
        "bucket": filled.astype(np.int16),
        "low": edges[filled, 0],
        "high": edges[filled, 1],
        "count": counts[filled],
    }
    return pa.table(columns, schema=HISTOGRAM_SCHEMA)


def _step_table(blocks: Sequence[StepBlock]) -> pa.Table:
    return pa.concat_tables([pa.table(_step_columns(block)) for block in blocks]) if blocks else pa.table({"phase": []})


def _step_columns(block: StepBlock) -> dict[str, Any]:
    length = len(block.loss)
    columns: dict[str, Any] = {
        "phase": pa.repeat(block.phase, length),
        "epoch": np.full(length, block.epoch, np.int32),
        "step": np.arange(block.first_step, block.first_step + length),
    }
    columns |= {name: getattr(block, name) for name in _SCALARS}
    for name, prefix in _PER_TABLE.items():
        columns |= {f"{prefix}{table}": values for table, values in getattr(block, name).items()}
    return columns


def _blocks(steps: pa.Table) -> Iterator[StepBlock]:
    if not len(steps):
        return
    phases = steps["phase"].to_numpy()
    values = {name: steps[name].to_numpy() for name in steps.column_names if name != "phase"}
    begins = np.flatnonzero(np.r_[True, (phases[1:] != phases[:-1]) | (np.diff(values["epoch"]) != 0)])
    for begin, end in zip(begins, [*begins[1:], len(phases)], strict=True):
        part = {name: column[begin:end] for name, column in values.items()}
        found: dict[str, Any] = {name: part[name] for name in _SCALARS}
        found |= {name: _by_table(part, prefix) for name, prefix in _PER_TABLE.items()}
        first = int(part["step"][0])
        yield StepBlock(phase=str(phases[begin]), epoch=int(part["epoch"][0]), first_step=first, **found)


def _by_table(columns: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return the columns with a prefix by table, in the order of the file."""
    return {name.removeprefix(prefix): column for name, column in columns.items() if name.startswith(prefix)}


def _counts(histograms: pa.Table) -> dict[_HistogramKey, Counts]:
    """Return the counts of each phase, step, table and kind, shape (512,); the rows of each are adjacent."""
    keys = [histograms[name].to_numpy(zero_copy_only=False) for name in ("phase", "step", "table", "kind")]
    buckets, values = (histograms[name].to_numpy() for name in ("bucket", "count"))
    changed = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    begins = np.flatnonzero(np.r_[len(buckets) > 0, changed])
    found: dict[_HistogramKey, Counts] = {}
    for begin, end in zip(begins, [*begins[1:], len(buckets)], strict=True):
        phase, step, table, kind = (key[begin] for key in keys)
        counts = found[phase, int(step), table, kind] = np.zeros(BUCKETS, np.int64)
        counts[buckets[begin:end]] = values[begin:end]
    return found


def _without_histograms(record: GradientRecord) -> dict[str, Any]:
    plain = {"record": type(record).__name__, **to_plain(record)}
    if isinstance(record, StepSample):
        for table in plain["tables"].values():
            for name in _KINDS.values():
                del table[name]
    return plain


def _record(entry: dict[str, Any], counts: dict[_HistogramKey, Counts]) -> GradientRecord:
    kind = _IN_JSON[entry.pop("record")]
    if kind is StepSample:
        for table, values in entry["tables"].items():
            for name, field in _KINDS.items():
                found = counts.get((entry["phase"], entry["step"], table, name))
                values[field] = np.zeros(BUCKETS, np.int64) if found is None else found
    record: GradientRecord = from_plain(kind, entry)
    return record
