"""Remedies of refusals about formats that are named and not read, followed."""

import bz2
import gzip
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import which
from typing import Any

import pytest
from following import refused
from refusals import remedy_of

from cfmodel.config import IngestSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.errors import DataError

ROWS = [("u1", "m1", 4), ("u1", "m2", 3), ("u2", "m1", 5), ("u3", "m2", 1)]
CSV = "user_id,movie_id,rating\n" + "".join(f"{user},{movie},{rating}\n" for user, movie, rating in ROWS)
Rows = Callable[..., int]


@pytest.fixture
def rows(tmp_path: Path) -> Rows:
    """Write a file, or some, and return how many rows are read of it."""

    def read(content: str | bytes, name: str = "x.csv", *, source: str | None = None, **changed: Any) -> int:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return ingest(str(tmp_path / (source or name)), IngestSettings(**changed), folder=tmp_path / "data").rows

    return read


@remedy_of("cfmodel/data/formats/header.py", "{}: {}")
def test_a_separator_that_the_rows_hold(rows: Rows) -> None:
    text = CSV.replace(",", "~")
    with refused("ingest.separator"):
        rows(text, separator=",")
    assert rows(text, separator="~") == 4


@remedy_of("cfmodel/data/formats/header.py", "name each field of a row in the header")
@remedy_of("cfmodel/data/formats/header.py", "write double quotes, or none")
def test_a_header_for_each_field_and_double_quotes_or_none(rows: Rows) -> None:
    wider = CSV.replace("\n", ",x,y\n").replace("rating,x,y", "rating")
    with refused("names 3 columns, and the rows have 5 fields", "name each field of a row in the header"):
        rows(wider)
    assert rows(wider.replace("rating", "rating,a,b")) == 4
    single = re.sub(r"(\w+),(\w+),", r"'\1','\2',", CSV)
    with refused("fields are in single quotes", "write double quotes, or none"):
        rows(single)
    assert rows(single.replace("'", '"')) == rows(single.replace("'", "")) == 4


@remedy_of("cfmodel/data/formats/reshape.py", "is longer than 4 MiB; correct it")
def test_a_line_that_is_corrected(rows: Rows) -> None:
    sections = "1:\n7,3,2005-09-06\n8,4,2005-09-07\n2:\n7,5,2005-09-06\n8,1,2004-01-02\n"
    with refused("is longer than 4 MiB; correct it"):
        rows(sections + "3:\n" + "7" * 2**23, "x.txt")
    assert rows(sections + "3:\n9,4,2005-09-08\n", "x.txt") == 5


@remedy_of("cfmodel/data/formats/sniff.py", "has no line of rows, columns and entries")
@remedy_of("cfmodel/data/formats/sniff.py", "is a MatrixMarket file of kind")
@remedy_of("cfmodel/data/reading/read_file.py", "rows where its first lines say {}; write or download it again")
def test_a_matrix_that_is_written_again(rows: Rows) -> None:
    good = "%%MatrixMarket matrix coordinate real general\n% a comment\n3 3 2\n1 1 4\n2 3 5\n"
    with refused("has no line of rows, columns and entries below its comments; write it again"):
        rows("\n".join(good.splitlines()[:2]) + "\n", "x.mtx")
    with refused("is a MatrixMarket file of kind", "'matrix coordinate real general'"):
        rows(good.replace("coordinate", "array"), "x.mtx")
    with refused("where its first lines say 2; write or download it again"):
        rows(good + "3 3 1\n", "x.mtx")
    assert rows(good, "x.mtx") == 2


@remedy_of("cfmodel/data/formats/sniff.py", "is compressed twice")
@remedy_of("cfmodel/data/ingest/read_source.py", "is empty; give a file with ratings")
@remedy_of("cfmodel/data/ingest/read_source.py", "if only some hold ratings, give these alone")
def test_a_file_that_is_decompressed_once_and_has_ratings(rows: Rows) -> None:
    packed = gzip.compress(CSV.encode())
    with refused("is compressed twice"):
        rows(gzip.compress(packed), "x.csv.gz")
    assert rows(packed, "x.csv.gz") == 4
    with refused("is empty; give a file with ratings"):
        rows("", "y.csv")
    assert rows(CSV, "y.csv") == 4
    rows(CSV, "some/a.csv")
    with refused("read together: 2 files", "if only some hold ratings, give these alone"):
        rows(bytes(range(256)) * 8, "some/b.csv", source="some")
    assert rows(CSV, "some/a.csv") == 4


@pytest.mark.skipif(which("jq") is None, reason="the remedy is a command of jq")
@remedy_of("cfmodel/data/formats/sniff.py", "is one JSON object of names and rows")
@remedy_of("cfmodel/data/formats/sniff.py", "inside other objects; write one object per rating")
def test_the_filters_of_jq(rows: Rows, tmp_path: Path) -> None:
    names = ["user_id", "movie_id", "rating"]
    records = [dict(zip(names, row, strict=True)) for row in ROWS]
    beside = [{"user_id": user, "rated": [{"movie_id": "m1", "rating": 3}]} for user in ("u1", "u2", "u3", "u4")]
    for whole in ({"next": None, "rows": records}, {"columns": names, "index": [0, 1, 2, 3], "data": ROWS}, beside):
        with pytest.raises(DataError) as told:
            rows(json.dumps(whole), "x.json")
        rule = re.search(r"jq -c '(.*)' FILE", str(told.value))
        assert rule is not None
        made = subprocess.run(["jq", "-c", rule[1], tmp_path / "x.json"], capture_output=True, check=True).stdout
        assert rows(made, "ratings.jsonl") == 4


@remedy_of("cfmodel/data/formats/sniff.py", "inside other objects; write one object per rating")
@remedy_of("cfmodel/data/formats/sniff.py", "is one JSON object of columns")
def test_one_object_per_rating(rows: Rows, tmp_path: Path) -> None:
    records = [{"user_id": user, "movie_id": movie, "rating": rating} for user, movie, rating in ROWS]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    columns = {name: {str(n): record[name] for n, record in enumerate(records)} for name in records[0]}
    with refused("is one JSON object of columns, as pandas writes it; write to_json('ratings.jsonl', orient='records'"):
        rows(json.dumps(columns), "x.json")
    import pandas as pd

    pd.DataFrame(records).to_json(tmp_path / "ratings.jsonl", orient="records", lines=True)
    assert rows((tmp_path / "ratings.jsonl").read_bytes(), "ratings.jsonl") == 4
    with refused("inside other objects; write one object per rating: jq -c"):
        rows("".join(json.dumps({"event": record}) + "\n" for record in records), "x.jsonl")
    assert rows(lines, "x.jsonl") == 4


@remedy_of("cfmodel/data/formats/unreadable.py", "{}: {}")
def test_what_is_decompressed_or_exported_as_it_says_is_read(rows: Rows, tmp_path: Path) -> None:
    import sqlite3

    with refused("is compressed with bzip2; decompress it or use gzip or zstd"):
        rows(bz2.compress(CSV.encode()), "x.csv.bz2")
    assert rows(CSV) == rows(gzip.compress(CSV.encode()), "x.csv.gz") == 4
    with sqlite3.connect(tmp_path / "x.db") as database:
        database.execute("create table ratings (user_id, movie_id, rating)")
        database.executemany("insert into ratings values (?, ?, ?)", ROWS)
    with refused("is an SQLite database; write the table as CSV"):
        rows((tmp_path / "x.db").read_bytes(), "y.csv")
    exported = database.execute("select * from ratings").fetchall()
    assert rows("user_id,movie_id,rating\n" + "".join(f"{','.join(map(str, row))}\n" for row in exported), "y.csv") == 4


def test_a_bad_row_is_corrected_removed_or_set_aside(rows: Rows) -> None:
    bad = CSV * 1 + "u9,m9,many\n"
    with refused("row 5: rating 'many' is not a number", "correct or remove the row", "ingest.on_bad_row"):
        rows(bad)
    assert rows(bad.replace("many", "2")) == 5
    assert rows(CSV) == 4
    assert rows(bad, on_bad_row="quarantine", max_bad_fraction=0.5) == 4
    with refused("rows read so far are bad"):
        rows("user_id,movie_id,rating\n" + "u,m,many\n" * 30, "z.csv")


@remedy_of("cfmodel/data/sources/sources.py", "whose folder also holds rows that were replaced")
def test_the_current_rows_of_a_table_written_as_parquet(rows: Rows, tmp_path: Path) -> None:
    rows(CSV, "table/part-0.csv")
    (tmp_path / "table" / "_delta_log").mkdir()
    (tmp_path / "table" / "_delta_log" / "0.json").write_text("{}")
    with refused("whose folder also holds rows that were replaced; write the current ones as Parquet"):
        rows(CSV, "table/part-0.csv", source="table")
    assert rows(CSV, "plain/part-0.csv", source="plain") == 4
