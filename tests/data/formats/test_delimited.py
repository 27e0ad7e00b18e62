"""Delimited text: separators, numbers of fields, and ids that stay text."""

import json

import pyarrow.parquet as pq
import pytest

from cfmodel.errors import DataError

ROWS = [("josé", "Amélie", 3.5, 1), ("zoë", "Amélie", 4.0, 2), ("naïf", "8½", 2.0, 3)]
HEAD = "userId,movieId,rating,timestamp\n"
TEXT = HEAD + "".join(",".join(map(str, row)) + "\n" for row in ROWS)


def text(separator, header="", rows=ROWS):
    quoted = [(user, f'"{movie}"' if separator in movie else movie, *rest) for user, movie, *rest in rows]
    return header + "".join(separator.join(str(field) for field in row) + "\n" for row in quoted)


def test_separators_of_several_characters_are_found_across_blocks(read, write, monkeypatch):
    monkeypatch.setattr("cfmodel.data.formats.compressed.BLOCK_BYTES", 64)
    rows = [(str(user), str(user % 7), float(user % 5), user) for user in range(200)]
    assert read(write("ratings.dat", text("::", rows=rows)))[1] == rows
    lines = "".join(json.dumps({"user": u, "item": m, "rating": r, "ts": t}) + "\n" for u, m, r, t in rows)
    assert read(write("ratings.jsonl", lines))[1] == rows


@pytest.mark.parametrize(
    "user",
    [
        "007",
        "7",
        "-7",
        "+7",
        "7.0",
        "7.5",
        "1e5",
        str(2**70),
        "two words",
        "a  b",
        "Ünïcødé 🎬",
        "0",
        "user@x.org",
        "=1+1",
        "0x1F",
        "'",
        "１",
    ],
)
def test_an_id_is_kept_as_it_is(user, read, write):
    for name, content in (("x.csv", f"{user},m,3\n1,m,4\n"), ("y.csv", f'"{user}","m","3"\n"1","m","4"\n')):
        assert read(write(name, content), header=False)[1][0][0] == user


def test_a_row_in_another_encoding_is_bad_only_if_it_affects_an_id(read, write, monkeypatch):
    monkeypatch.setattr("cfmodel.data.formats.sniff._FIRST_BLOCK_BYTES", 60)
    lines = [
        b"title,user,item,rating\n",
        b"x,1,1,3\n" * 10,
        b"caf\xe9,2,1,3\n",
        b"x,jos\xe9,1,3\n",
        b"caf\xe9,4,1\n",
        b"y,3,1,4\n",
    ]
    ref, rows = read(write("x.csv", b"".join(lines)), on_bad_row="quarantine", max_bad_fraction=1)
    assert [row[0] for row in rows] == ["1", "2", "3"]
    table = pq.read_table(ref.path / "quarantine.parquet").to_pylist()
    assert [(row["row"], row["reason"]) for row in table] == [
        (12, "user_id is not UTF-8 text"),
        (13, "row has another number of fields"),
    ]


def test_a_truncated_file_has_a_bad_last_row(read, write):
    with pytest.raises(DataError, match=r"x.csv, row 3: 2 fields where 4 are expected: 'naïf,8'"):
        read(write("x.csv", TEXT[: TEXT.index("½")]))
    ref, rows = read(write("y.csv", TEXT[: TEXT.index("½")]), on_bad_row="quarantine", max_bad_fraction=0.5)
    assert (rows, ref.accounts.quarantined) == (ROWS[:2], 1)


@pytest.mark.parametrize("block", [30, 4_000_000])
@pytest.mark.parametrize("separator", [",", ";", "\t", "::", " "])
def test_the_header_once_more_is_no_rating_and_is_counted(separator, block, read, write, monkeypatch):
    """As in files that were joined; a byte order mark may stand before it."""
    monkeypatch.setattr("cfmodel.data.formats.compressed.BLOCK_BYTES", block)
    head = "user::movie::rating\n"
    text = head + "7::a::3\n8::b::4\n" + head + "\ufeff" + head + "7::b::5\n\ufeff9::a::1\n" + head.rstrip("\n")
    ref, rows = read(write("x.csv", text.replace("::", separator)))
    assert rows == [("7", "a", 3.0, None), ("8", "b", 4.0, None), ("7", "b", 5.0, None), ("9", "a", 1.0, None)]
    assert (ref.accounts.rows_in, ref.accounts.headers, ref.accounts.ignored) == (4, 3, 0)


def test_the_header_once_more_above_row_names_is_no_rating(read, write):
    part = '"user","movie","rating"\n"1",7,"a",3\n'
    ref, rows = read(write("x.csv", part + part.replace("7", "8")))
    assert [row[0] for row in rows] == ["7", "8"]
    assert ref.accounts.headers == 1


def test_a_row_that_only_begins_like_the_header_is_bad(read, write):
    with pytest.raises(DataError, match="row 2: rating 'rating2' is not a number"):
        read(write("x.csv", "user,movie,rating\n1,2,3\nuser,movie,rating2\n"))


def test_the_last_line_of_postgresqls_copy_is_no_row(read, write):
    ref, rows = read(write("x.tsv", "7\ta\t3\n8\tb\t4\n\\.\n"))
    assert (len(rows), ref.accounts.ignored) == (2, 1)
