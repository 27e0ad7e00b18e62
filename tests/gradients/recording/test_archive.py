"""What the monitor saw, written and read back; and the promise made to other readers of the Parquet file."""

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from histories import FIVE, OTHER_SIDES, OTHERS, Shapes, history

from cfmodel.errors import DigestError
from cfmodel.gradients.recording.archive import HISTOGRAM_SCHEMA, archived, read_archive, write_archive
from cfmodel.gradients.recording.gradient_records import StepSample


def same(one: Any, other: Any) -> bool:
    if is_dataclass(one):
        return type(one) is type(other) and all(
            same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one)
        )
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray):
        return bool(one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f"))
    return bool(one == other or (one != one and other != other))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_archive(tmp_path, history(epochs=2))
    return tmp_path


def place(record: Any) -> tuple[str, str, int, int]:
    return type(record).__name__, record.phase, getattr(record, "epoch", 0), getattr(record, "step", 0)


def by_kind(records: list[Any]) -> list[Any]:
    return sorted(records, key=place)


def test_records_are_read_back_as_written(folder: Path) -> None:
    written, read = by_kind(history(epochs=2)), by_kind(read_archive(folder))
    assert len(written) == len(read)
    assert all(same(one, other) for one, other in zip(written, read, strict=True))


def test_the_histogram_file_has_a_row_per_step_table_kind_and_non_empty_bucket(folder: Path) -> None:
    table = pq.read_table(folder / "histograms.parquet")
    assert table.schema.equals(HISTOGRAM_SCHEMA)
    frame = table.to_pandas()
    assert (frame["count"] > 0).all()
    assert not frame.duplicated(["phase", "step", "table", "kind", "bucket"]).any()
    sums = frame.groupby(["phase", "step", "table", "kind"])["count"].sum()
    for sample in (record for record in history(epochs=2) if isinstance(record, StepSample)):
        for name, seen in sample.tables.items():
            assert sums[sample.phase, sample.step, name, "gradient"] == seen.gradient_counts.sum()
            assert sums[sample.phase, sample.step, name, "row_norm"] == seen.rows_touched


def test_numbers_that_are_not_finite_survive(tmp_path: Path) -> None:
    records = history(epochs=1, refit=False)
    broken = next(record for record in records if isinstance(record, StepSample))
    object.__setattr__(broken, "noise_scale", float("inf"))
    object.__setattr__(broken, "signal_square", float("nan"))
    write_archive(tmp_path, records)
    read = next(record for record in read_archive(tmp_path) if isinstance(record, StepSample))
    assert read.noise_scale == float("inf")
    assert np.isnan(read.signal_square)
    assert "NaN" not in (tmp_path / "records.json").read_text()


def diverge(folder: Path) -> None:
    with archived(folder) as keep:
        for record in ("another kind", *history(epochs=1)):
            keep(record)
        raise ValueError("diverged")


def test_a_training_that_fails_leaves_its_records(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="diverged"):
        diverge(tmp_path / "kept")
    assert len(read_archive(tmp_path / "kept")) == len(history(epochs=1))


def test_a_training_without_a_monitor_leaves_no_folder(tmp_path: Path) -> None:
    with archived(tmp_path / "kept") as keep:
        keep("another kind")
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_damaged_archive_is_refused(folder: Path, damage: str) -> None:
    file = folder / "histograms.parquet"
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DigestError, match="cannot be read"):
        read_archive(folder)


@pytest.mark.parametrize(("tables", "sides"), [(FIVE, {}), (OTHERS, OTHER_SIDES)])
def test_tables_of_any_name_are_read_back(tmp_path: Path, tables: Shapes, sides: dict[str, str]) -> None:
    records = history(epochs=2, tables=tables, sides=sides)
    write_archive(tmp_path, records)
    columns = pq.read_schema(tmp_path / "steps.parquet").names
    assert [f"grad_norm/{table}" for table in tables] == [name for name in columns if name.startswith("grad_norm/")]
    read = read_archive(tmp_path)
    assert all(same(one, other) for one, other in zip(by_kind(records), by_kind(read), strict=True))


def test_sides_are_on_disk_only_where_they_are_set(tmp_path: Path) -> None:
    write_archive(tmp_path, history(epochs=1))
    assert "sides" not in (tmp_path / "records.json").read_text()
    write_archive(tmp_path, history(epochs=1, tables=OTHERS, sides=OTHER_SIDES))
    assert '"encoder.weight": "user"' in (tmp_path / "records.json").read_text()
