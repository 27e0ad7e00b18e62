"""Files that are not read are named, with a way to turn them into one that is."""

import gzip
import io
import pickle
import sqlite3
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cfmodel.errors import DataError


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "application/vnd.oasis.opendocument.spreadsheet" if name == "mimetype" else "<x/>")
    return file.getvalue()


def tarred():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("ratings.csv"))
    return file.getvalue()


def feather():
    file = io.BytesIO()
    with pa.ipc.new_file(file, pa.schema([("user", pa.int64())])):
        pass
    return file.getvalue()


def array():
    file = io.BytesIO()
    np.save(file, np.ones(3))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped("[Content_Types].xml", "xl/worksheets/sheet1.xml"), "is an Excel workbook; open it and save .* as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), r"is an old Excel workbook \(.xls\); open it and save"),
        (zipped("mimetype", "content.xml"), "is an OpenDocument spreadsheet; open it and save the sheet as CSV"),
        (zipped("collection.anki2"), "is an Anki package"),
        (zipped("ml-1m/ratings.dat"), "is a zip archive; unpack it and give the ratings file"),
        (tarred(), "is a tar archive; unpack it"),
        (gzip.compress(tarred(), mtime=0), "is a tar archive; unpack it"),
        (feather(), r"is an Arrow \(Feather\) file; .*to_parquet"),
        (pickle.dumps(pd.DataFrame()), "is a Python pickle; .*to_parquet"),
        (array(), "is a numpy array"),
        (b"BZh91AY", "is compressed with bzip2; decompress it"),
        (b"<!DOCTYPE html>\n<title>Sign in</title>\n", r"is a web page \(HTML\); .* download the ratings again"),
        (b"<?xml version='1.0'?>\n<myanimelist/>\n", "is XML; write it as CSV"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "is a Git LFS pointer, .* git lfs pull"),
        (b"-- MySQL dump 10.13\n\nINSERT INTO `r` VALUES (1,2,3);\n", "is an SQL dump; load it into a database"),
        (b"COPY public.ratings (u, m, r) FROM stdin;\n1\t2\t3\n\\.\n", "is an SQL dump; load it"),
        (b"{'user': 1, 'item': 2, 'rating': 3}\n", "is in Python's notation, not JSON; .*json.dumps"),
        (b'[1, "a", 4]\n[2, "b", 3]\n', "holds rows that are JSON lists; write each as an object"),
        (b"[\n [1, 2, 3],\n [2, 3, 4]\n]\n", "holds rows that are JSON lists"),
        (b"5 1:1 3:1\n4 2:1 3:1\n", r"is in the format of libsvm and libFM"),
        (b"('7', 'a', 3.5)\n('8', 'b', 4)\n", "holds rows in brackets, .* remove the brackets"),
        (b"3.5 |u 7 |i a\n4 |u 8 |i b\n", "is in Vowpal Wabbit's format; write a row for each rating"),
        (b'{"user": NumberLong(7), "item": ObjectId("a"), "rating": 3}\n', "is what MongoDB's shell .* mongoexport"),
        (b"q1 0 71 3\nq1 0 72 0\n", "is in TREC's format"),
        (b"q1\tQ0\t71\t1\t0.5\trun\nq1\tQ0\t72\t2\t0.25\trun\n", "is in TREC's format"),
    ],
)
def test_a_file_of_another_kind_is_named_with_what_to_do(content, message, read, write):
    with pytest.raises(DataError, match=f"^x.csv: {message}"):
        read(write("x.csv", content))


def test_a_database_is_named_with_the_command_that_writes_it_as_csv(read, tmp_path):
    with sqlite3.connect(tmp_path / "x.db") as database:
        database.execute("create table ratings (user)")
    with pytest.raises(DataError, match=r"^x.db: is an SQLite database; .* sqlite3 -csv -header FILE"):
        read(tmp_path / "x.db")


def test_pythons_notation_becomes_json_lines_as_advised(read, write):
    """The command of the message, in this process."""
    import ast
    import json

    rows = ["{'user': 1, 'item': u'a', 'rating': 3.5, 'old': None}"]
    content = "".join(f"{json.dumps(ast.literal_eval(row))}\n" for row in rows)
    assert read(write("x.jsonl", content))[1] == [("1", "a", 3.5, None)]


@pytest.mark.parametrize(
    "text",
    ["<NA>,a,3\n7,a,3\n", "--,a,3\n7,a,3\n", "5\t0\t4\t978300760\n9\t0\t3\t978302109\n", "q,0:1,3\n7,1:2,4\n"],
)
def test_ratings_that_begin_like_another_kind_are_read(text, read, write):
    ref, _ = read(write("x.csv", text), on_bad_row="quarantine", max_bad_fraction=1)
    assert ref.accounts.rows_in == 2
