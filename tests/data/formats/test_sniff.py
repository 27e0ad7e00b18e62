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
        (
            "x.json",
            b'{"rows":[{"user":1,"item":2,"rating":3}]}',
            r"inside other objects; .* jq -c '.\"rows\"\[\]'",
        ),
        ("x.json", b'{"n":1,"next":null,"rows":[{"user":1,"item":2,"rating":3}]}', r"jq -c '.\"rows\"\[\]' FILE"),
        ("x.json", b'[{"user":1,"rated":[{"item":2,"rating":3}]}]', r"\| \. as \$row \| .\"rated\"\[\] \+"),
        (
            "x.json",
            b'{"columns":["user","item","rating"],"index":[0],"data":[[1,2,3]]}',
            "orient='split'; .* transpose",
        ),
        ("x.json", b'{"user":{"0":1},"item":{"0":2},"rating":{"0":3}}', "of columns, as pandas .* orient='records'"),
        ("x.mtx", b"%%MatrixMarket matrix coordinate real general\n2 2\n", "has no line of rows, columns and entries"),
        ("x.mtx", b"%%MatrixMarket matrix coordinate real general\n2 2 9\n1 1 3\n", "has 1 rows where .* say 9; write"),
        (
            "x.csv.gz",
            gzip.compress(gzip.compress(b"1,2,3\n", mtime=0), mtime=0),
            "is compressed twice; give the file decompressed",
        ),
        ("x.json", b'{"Item":{"user":{"S":"1"},"item":{"S":"2"},"rating":{"N":"3"}}}\n', r"'.\"Item\" \| map_values"),
        ("x.json", b'{"_id":1,"_source":{"user":1,"item":2,"rating":3}}\n' * 2, "jq -c '.\"_source\"' FILE"),
        ("x.json", b'{"a":{"user":1,"item":2,"rating":3},"b":{"user":1,"item":3,"rating":3}}', r"jq -c '.\[\]' FILE"),
        ("x.json", b'{"ann":{"a":4,"b":3},"bob":{"a":1}}', r"jq -c 'to_entries\[\] \| .key as"),
        ("x.mtx", b"%%MatrixMarket matrix array real general\n2 2\n1\n2\n", "of kind 'matrix array real general'"),
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


def test_a_sparse_matrix_of_matrix_market_is_users_by_movies(read, write):
    text = "%%MatrixMarket matrix coordinate real general\n% by scipy\n%\n3 2 3\n1 1 4.5\n2   2 3\n3 1 1e0\n"
    expected = [("1", "1", 4.5, None), ("2", "2", 3.0, None), ("3", "1", 1.0, None)]
    assert read(write("x.mtx", text))[1] == expected
    assert read(write("y.mtx", text.replace("real", "integer").replace("\n", "\r\n")))[1] == expected


def test_sections_are_read_with_the_separator_that_is_set(read, write):
    path = write("x.txt", "7:\n1801,3,2005-09-06\n")
    assert read(path)[1] == read(path, separator=",")[1] == [("1801", "7", 3.0, 1_125_964_800)]


@pytest.mark.parametrize("content", [b"1,a,4\n2,b,3\n" + bytes(4_000), b"1,a,4\n2,b\0,3\n", b"1,a,4\n2,b,\0\n"])
@pytest.mark.parametrize("above", [0, 300_000])
def test_a_zero_byte_makes_one_bad_row_wherever_it_stands(content, above, read, write):
    path = write("x.csv", b"0,a,1\n" * above + content)
    number = above + content[: content.index(0)].count(b"\n") + 1
    with pytest.raises(DataError, match=rf"^x.csv, row {number:,}: "):
        read(path)
    ref, rows = read(path, on_bad_row="quarantine", max_bad_fraction=1)
    assert ref.accounts.quarantined == 1
    assert ("1", "a", 4.0, None) in rows
