"""What the monitor saw, on disk: two tables for any tool that reads Parquet, and the rest as JSON.

`histograms.parquet`: one row per sampled step, table, kind and non-empty bucket.

    phase    text     fit or refit
    epoch    int32    number of the epoch, from 1
    step     int64    number of the update, from 1 since the phase began
    table    text     user_embeddings, user_biases, movie_embeddings or movie_biases
    kind     text     gradient: elements of the touched rows' gradients, before clipping;
                      row_norm: L2 norms of those rows
    bucket   int16    sign and exponent of the float32 value, its upper 9 bits: 0 to 511
    low      float64  lower edge of the bucket: the bucket is [low, high) where values are positive,
    high     float64  (low, high] where they are negative; NaN for infinities and NaN themselves
    count    int64    values in the bucket; counts of steps, epochs and runs add up

`steps.parquet`: one row per update.

    phase, epoch, step, loss, mean_squared_error, largest_error, largest_error_user,
    largest_error_movie, total_norm, clip_coefficient, finite, and for each table
    grad_norm/<table> (before clipping) and rows_touched/<table>; see `records.StepBlock`

`records.json`: every other record by its fields, see `records`; numbers that are not finite as text.
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
from cfmodel.gradients.recording.buckets import BUCKETS, HALF, bucket_lower_bounds
from cfmodel.gradients.recording.gradient_records import (
    TABLES,
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

HISTOGRAMS, STEPS, RECORDS = FILES = ("histograms.parquet", "steps.parquet", "records.json")

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

#: Kind of histogram to the field of a sample that holds it.
_KINDS = {"gradient": "gradient_counts", "row_norm": "row_norm_counts"}
_PER_TABLE = ("grad_norms", "rows_touched")
_SCALARS = [
    field.name for field in fields(StepBlock) if field.name not in {"phase", "epoch", "first_step", *_PER_TABLE}
]
_IN_JSON = {kind.__name__: kind for kind in (InitialRecord, StepSample, EpochGradients, Outcome, MonitorCost)}


def bucket_bounds() -> Floats:
    """Return the lower and upper edge of each bucket, shape (512, 2); NaN where it holds no finite number."""
    magnitude = bucket_lower_bounds()[:HALF]
    positive = np.column_stack([magnitude, np.r_[magnitude[1:], np.nan]])
    positive[0, 1], positive[-2, 1], positive[-1] = magnitude[1], 2 * magnitude[-2], np.nan
    return np.concatenate([positive, -positive[:, ::-1]])


@contextmanager
def archived(folder: Path) -> Iterator[Callable[[object], None]]:
    """Keep the monitor's records of a block and write them to a folder when it ends, however it ends.

    A training that fails is the one whose gradients matter most.

    Args:
        folder: Appears whole, or not at all where there were no records.

    Yields:
        An `on_record`; records of other kinds pass unheeded.
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
    """Write what the monitor saw to three files in an existing folder."""
    kept = list(records)
    samples = [record for record in kept if isinstance(record, StepSample)]
    pq.write_table(histogram_table(samples), folder / HISTOGRAMS, compression="zstd")
    pq.write_table(_step_table([record for record in kept if isinstance(record, StepBlock)]), folder / STEPS)
    others = [_without_histograms(record) for record in kept if not isinstance(record, StepBlock)]
    (folder / RECORDS).write_text(json.dumps(others, indent=1, allow_nan=False), encoding="utf-8")


def read_archive(folder: Path) -> list[GradientRecord]:
    """Read back what `write_archive` wrote: the same records, steps before samples before epochs.

    Raises:
        DigestError: A file is missing or cannot be read.
    """
    try:
        blocks = _blocks(pq.read_table(folder / STEPS))
        counts = _counts(pq.read_table(folder / HISTOGRAMS))
        others = json.loads((folder / RECORDS).read_text(encoding="utf-8"))
        return [*blocks, *(_record(entry, counts) for entry in others)]
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DigestError(
            f"{folder}: the gradient records cannot be read ({type(error).__name__}: {error}); expected "
            f"{', '.join(FILES)} as training writes them; train again to make them anew"
        ) from error


def histogram_table(samples: Sequence[StepSample]) -> pa.Table:
    """Return the non-empty buckets of every sample as a table of `HISTOGRAM_SCHEMA`."""
    edges = bucket_bounds()
    parts = [_filled(sample, table, kind, edges) for sample in samples for table in sample.tables for kind in _KINDS]
    return pa.concat_tables([HISTOGRAM_SCHEMA.empty_table(), *parts]).combine_chunks()


def _filled(sample: StepSample, table: str, kind: str, edges: Floats) -> pa.Table:
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
    columns |= {f"grad_norm/{table}": block.grad_norms[table] for table in TABLES}
    return columns | {f"rows_touched/{table}": block.rows_touched[table] for table in TABLES}


def _blocks(steps: pa.Table) -> Iterator[StepBlock]:
    if not len(steps):
        return
    phases = steps["phase"].to_numpy()
    values = {name: steps[name].to_numpy() for name in steps.column_names if name != "phase"}
    begins = np.flatnonzero(np.r_[True, (phases[1:] != phases[:-1]) | (np.diff(values["epoch"]) != 0)])
    for begin, end in zip(begins, [*begins[1:], len(phases)], strict=True):
        part = {name: column[begin:end] for name, column in values.items()}
        yield StepBlock(
            phase=str(phases[begin]),
            epoch=int(part["epoch"][0]),
            first_step=int(part["step"][0]),
            grad_norms={table: part[f"grad_norm/{table}"] for table in TABLES},
            rows_touched={table: part[f"rows_touched/{table}"] for table in TABLES},
            **{name: part[name] for name in _SCALARS},
        )


Key = tuple[str, int, str, str]


def _counts(histograms: pa.Table) -> dict[Key, Counts]:
    """Return the counts of each phase, step, table and kind, shape (512,); rows of one stand together."""
    keys = [histograms[name].to_numpy(zero_copy_only=False) for name in ("phase", "step", "table", "kind")]
    buckets, values = (histograms[name].to_numpy() for name in ("bucket", "count"))
    changed = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    begins = np.flatnonzero(np.r_[len(buckets) > 0, changed])
    found: dict[Key, Counts] = {}
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


def _record(entry: dict[str, Any], counts: dict[Key, Counts]) -> GradientRecord:
    kind = _IN_JSON[entry.pop("record")]
    if kind is StepSample:
        for table, values in entry["tables"].items():
            for name, field in _KINDS.items():
                found = counts.get((entry["phase"], entry["step"], table, name))
                values[field] = np.zeros(BUCKETS, np.int64) if found is None else found
    record: GradientRecord = from_plain(kind, entry)
    return record
