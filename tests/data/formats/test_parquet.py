"""Parquet files: columns, batches and rows as text."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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


def test_a_row_with_invalid_utf8_has_a_text():
    batch = pa.record_batch({"user": pa.array([b"\xff"]).view(pa.string()), "rating": [3.5]})
    assert json.loads(row_as_json(batch, 0)) == {"user": "b'\\xff'", "rating": 3.5}


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "x.parquet"
    path.write_bytes(b"PAR1 but then nothing")
    with pytest.raises(DataError, match=r"^x.parquet: cannot be read as Parquet \(.*\); write or download it again"):
        column_names(path)
