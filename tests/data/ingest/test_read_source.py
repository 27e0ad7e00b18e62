"""Reading of a source of several files, with progress."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from refusals import remedy_of

from cfmodel.config import IngestSettings
from cfmodel.data.ingest.ingest import RowsRead, ingest
from cfmodel.errors import DataError


def test_a_refused_file_among_several_is_named_with_those_read_together(read, write):
    write("set/ratings.csv", "1,2,3\n")
    path = write("set/notes.txt", "only words here\n")
    with pytest.raises(
        DataError,
        match=r"^notes.txt: no known .*\(read together: 2 files, notes.txt, ratings.csv; if .* give these alone\)",
    ):
        read(path.parent)


def test_progress_reports_rows_and_the_share_read(write, tmp_path, monkeypatch):
    monkeypatch.setattr("cfmodel.data.formats.compressed.BLOCK_BYTES", 10_000)
    path = write("x.csv", "1,2,3\n" * 10_000)
    records = []
    ingest(str(path), IngestSettings(), folder=tmp_path, on_record=records.append)
    assert len(records) > 3
    assert all(isinstance(record, RowsRead) for record in records)
    assert records[-1] == RowsRead(10_000, 1.0)
    assert np.all(np.diff([record.fraction for record in records]) >= 0)


def test_files_may_have_their_columns_in_different_orders(read, write):
    write("set/a.csv", "user,item,rating\n1,2,3\n")
    write("set/b.csv", "rating,extra,item,user\n4,x,5,6\n")
    path = write("set/c.tsv", "item\tuser\trating\n8\t7\t5\n")
    assert read(path.parent)[1] == [("1", "2", 3.0, None), ("6", "5", 4.0, None), ("7", "8", 5.0, None)]


def test_a_part_without_a_header_has_the_columns_of_the_part_with_one(read, write):
    write("set/x-00.csv", "rating,item,user\n3,2,1\n")
    path = write("set/x-01.csv", "4,5,6\n")
    assert read(path.parent)[1] == [("1", "2", 3.0, None), ("6", "5", 4.0, None)]


def test_a_folder_of_empty_files_is_refused(read, write):
    write("set/a.csv", "")
    path = write("set/b.csv", "\n")
    with pytest.raises(DataError, match=r"a.csv: is empty; give a file with ratings"):
        read(path.parent)


@remedy_of("cfmodel/data/ingest/read_source.py", "has no header, and {} columns")
@pytest.mark.parametrize("header", ["", "user,item,rating,timestamp\n"])
def test_a_file_without_a_header_but_with_other_columns_is_no_part_of_the_table(header, read, write):
    write("set/people.csv", "1,F,25,10,48067\n2,M,56,16,70072\n")
    path = write("set/rated.csv", f"{header}1,31,2.5,1260759144\n")
    named = r"people.csv: .* 5 columns where rated.csv has 4" if header else r"rated.csv: .* 4 columns where people.csv"
    with pytest.raises(DataError, match=named):
        read(path.parent)
    assert len(read(path)[1]) == 1


@remedy_of("cfmodel/data/ingest/read_source.py", "in the names of the folders")
def test_a_rating_in_the_names_of_folders_is_told_with_the_command_that_makes_it_a_column(read, tmp_path):
    for rating in (3, 5):
        (tmp_path / f"set/rating={rating}").mkdir(parents=True)
        pq.write_table(pa.table({"user": ["7"], "item": [f"m{rating}"]}), tmp_path / f"set/rating={rating}/0.parquet")
    with pytest.raises(DataError, match="in the names of the folders, such as rating=3") as told:
        read(tmp_path / "set")
    command = re.search('python -c "(.*)"', str(told.value))[1]
    exec(command.replace("FOLDER", str(tmp_path / "set")).replace("'ratings", f"'{tmp_path}/ratings"))
    assert sorted(read(tmp_path / "ratings.parquet")[1]) == [("7", "m3", 3.0, None), ("7", "m5", 5.0, None)]
