"""Detection of a file's format."""

import gzip

import pyarrow as pa
import pytest

from cfmodel.errors import DataError


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"", "x.csv: is empty"),
        ("x.csv", b"userId,movieId,rating\n", "holds no ratings"),
        (
            "x.csv",
            b"a,b,c\n1,2,3\n",
            r"no column is recognised as user_id and movie_id and rating.*ingest.columns.user_id",
        ),
        ("x.csv", b"only words here\n", "no known separator splits the first row .* set ingest.separator"),
        ("x.zip", b"PK\x03\x04....", "is a zip archive"),
        ("x.json", b'[{"user":1}]', "one JSON array"),
        ("x.bin", b"\x01\x00\x02", "holds binary data"),
        ("x.parquet", b"PAR1 but then nothing", "cannot be read as Parquet"),
        ("x.csv.gz", gzip.compress(b"1,2,3\n" * 100_000, mtime=0)[:-300], "x.csv.gz: is damaged gzip"),
        ("x.csv.zst", pa.compress(b"1,2,3\n" * 9000, codec="zstd", asbytes=True)[:-5], "x.csv.zst: is damaged zstd"),
        (
            "x.csv",
            b"1,2,3\n" * 200_000 + b"1,\xff,3\n",
            r"x.csv, row 200,001: movie_id '\ufffd' is not UTF-8 text; .* set ingest.encoding",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_name_and_reason(name, content, message, read, write):
    with pytest.raises(DataError, match=message):
        read(write(name, content))


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", "\ufeff".encode("utf-16-le"), b"  \r\n"])
def test_an_empty_file_is_refused_as_empty(content, read, write):
    with pytest.raises(DataError, match=r"x.csv: is empty; give a file with ratings"):
        read(write("x.csv", content))


PACKED = gzip.compress(b"1,2,3\n4,5,1\n", mtime=0)


def test_a_files_content_decides_its_format_not_its_name(read, write):
    assert len(read(write("x.csv.gz", b"1,2,3\n4,5,1\n"))[1]) == 2
    assert len(read(write("x.csv", PACKED))[1]) == 2
