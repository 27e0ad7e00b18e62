"""Compressed files: concatenated, damaged, and too large when decompressed."""

import gzip
import struct

import pyarrow as pa
import pytest

from cfmodel.errors import DataError


def test_concatenated_gzip_files_are_read_to_the_end(read, write):
    path = write("x.csv.gz", gzip.compress(b"user,item,rating\n1,2,3\n") + gzip.compress(b"4,5,6\n"))
    assert len(read(path)[1]) == 2


PACKED = gzip.compress(b"1,2,3\n4,5,1\n", mtime=0)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (PACKED[:-4] + struct.pack("<I", 1_000_000), "damaged gzip .*length check"),
        (PACKED[:-8] + struct.pack("<I", 1) + PACKED[-4:], "damaged gzip .*data check"),
        (PACKED[:-10], "damaged gzip"),
        (PACKED[:12], "damaged gzip"),
        (PACKED + b"trailing", "damaged gzip"),
        (b"\x1f\x8bnot at all", "damaged gzip"),
    ],
)
def test_a_damaged_gzip_file_is_refused(content, problem, read, write):
    with pytest.raises(DataError, match=f"x.csv.gz: is {problem}"):
        read(write("x.csv.gz", content))


def test_a_decompression_bomb_is_refused(read, write, monkeypatch):
    monkeypatch.setattr("cfmodel.data.formats.compressed._FROM_BYTES", 1_000_000)
    path = write("x.csv.zst", pa.compress(b"1,2,3\n" * 1_000_000, codec="zstd", asbytes=True))
    with pytest.raises(DataError, match=r"x.csv.zst: decompresses to more than 200 times its size"):
        read(path)
