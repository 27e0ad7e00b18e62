"""Parquet files: columns, batches and rows as text."""

import json
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cfmodel.config import ColumnNames
from cfmodel.data.formats.column_roles import Columns
from cfmodel.data.formats.parquet import column_names, read_batches, row_as_json
from cfmodel.errors import DataError


def test_batches_hold_the_used_columns_and_all_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("cfmodel.data.formats.parquet._BATCH_ROWS", 3)
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": range(7), "unused": range(7), "b": range(7)}), path)
    assert column_names(path) == ["a", "unused", "b"]
    columns = Columns(("a", "unused", "b"), {"user_id": 2, "movie_id": 0})
    batches = list(read_batches(path, columns))
    assert [(batch.num_rows, total) for batch, total in batches] == [(3, 7), (3, 7), (1, 7)]
    assert batches[0][0].to_pydict() == {"b": [0, 1, 2], "a": [0, 1, 2]}


def test_columns_of_the_same_name_are_told_apart_by_number(read, tmp_path):
    arrays = [pa.array([value]) for value in ("u", "first", "i", "second", 4.0)]
    table = pa.Table.from_arrays(arrays, names=["user", "item", "x", "item", "rating"])
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"columns 2 and 4 are both named 'item'; .*ingest.columns.movie_id=2"):
        read(tmp_path / "x.parquet")
    for number, movie in (("2", "first"), ("4", "second")):
        assert read(tmp_path / "x.parquet", columns=ColumnNames(movie_id=number))[1] == [("u", movie, 4.0, None)]


def test_a_row_with_invalid_utf8_has_a_text():
    batch = pa.record_batch({"user": pa.array([b"\xff"]).view(pa.string()), "rating": [3.5]})
    assert json.loads(row_as_json(batch, 0)) == {"user": "b'\\xff'", "rating": 3.5}


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 but then nothing")
    with pytest.raises(DataError, match=r"^x.parquet: cannot be read as Parquet \(.*\); write or download it again"):
        column_names(path)


def test_a_day_beyond_nanoseconds_in_spark_s_old_timestamps_is_a_bad_row_and_no_other_day(read, tmp_path):
    days = [datetime(2024, 1, 1), datetime(9999, 12, 31)]
    table = pa.table({"user": ["7", "8"], "item": ["a", "a"], "rating": [3, 4], "timestamp": days})
    pq.write_table(table, tmp_path / "x.parquet", use_deprecated_int96_timestamps=True)
    with pytest.raises(DataError, match=r"row 2: timestamp .*9999-12-31"):
        read(tmp_path / "x.parquet")
    ref, rows = read(tmp_path / "x.parquet", on_bad_row="quarantine", max_bad_fraction=0.5)
    assert (ref.accounts.quarantined, rows) == (1, [("7", "a", 3.0, 1_704_067_200)])


def test_every_digit_of_spark_s_old_timestamps_is_kept(tmp_path):
    moment = 1_700_000_000_123_456_789
    table = pa.table({"timestamp": pa.array([moment, None], pa.timestamp("ns"))})
    pq.write_table(table, tmp_path / "x.parquet", use_deprecated_int96_timestamps=True)
    ((batch, _),) = read_batches(tmp_path / "x.parquet", Columns(("timestamp",), {"timestamp": 0}))
    assert batch.column("timestamp").cast(pa.int64()).to_pylist() == [moment, None]
