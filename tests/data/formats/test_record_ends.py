"""Records of delimited text: quotes, line feeds in fields, and blocks that end anywhere."""

import csv
import io

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfmodel.data.formats.record_ends import split_into_records


@given(
    text=st.lists(
        st.sampled_from([",", '"', '""', "\n", "a", "bc", '"x\ny"', '",\n', " ", ' "x,\n" ']), max_size=80
    ).map("".join),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=20),
)
@settings(deadline=None, max_examples=300)
def test_records_hold_every_byte_once_wherever_blocks_end(text, sizes):
    data = text.encode()

    def cut(sizes):
        place = 0
        while place < len(data):
            yield data[place : place + sizes[place % len(sizes)]]
            place += sizes[place % len(sizes)]

    def records(blocks):
        found = []
        for block in split_into_records(blocks, ","):
            if block.fault is not None:
                found.append((block.fault, block.data))
            else:
                starts = [0, *(block.ends[:-1] + 1)]
                found += [("", block.data[start:end]) for start, end in zip(starts, block.ends, strict=True)]
        return found

    whole = records(iter([data] if data else []))
    joined = b"".join(record + b"\n" for _, record in whole)
    assert joined in (data, data + b"\n")
    # A quote that is still open where the data end could close later, so only whole data decide alike.
    if not any(fault for fault, _ in whole):
        assert records(cut(sizes)) == whole


@pytest.mark.parametrize("text", ["1,2,3\n", '1,"2,\n",3\n4,5,6\n', 'a"b,c,d\ne,"f""g",h\n'])
def test_records_are_those_of_the_standard_library(text):
    blocks = list(split_into_records(iter([text.encode()]), ","))
    assert sum(len(block.ends) for block in blocks) == len(list(csv.reader(io.StringIO(text))))


def quarantined(ref):
    return [tuple(row.values()) for row in pq.read_table(ref.path / "quarantine.parquet").to_pylist()]


@pytest.mark.parametrize("block", [40, 4096])
@pytest.mark.parametrize(
    ("bad", "others"),
    [
        ('99,99,3,"open', '"fine ""quote"""'),
        ('99,99,3,"open', "plain"),
        ('99,99,3,"open', '"with\na line"'),
        ('"99,99,3,open', 'a "quote" inside'),
    ],
)
def test_a_quote_that_is_not_closed_makes_only_its_own_line_bad(bad, others, block, read, write, monkeypatch):
    monkeypatch.setattr("cfmodel.data.formats.compressed.BLOCK_BYTES", block)
    rows = [f"{user},{user},{user % 5},{others}" for user in range(50)]
    path = write("x.csv", "\n".join([*rows[:20], bad, *rows[20:]]) + "\n")
    ref, kept = read(path, on_bad_row="quarantine", max_bad_fraction=1, columns={"timestamp": ""})
    assert quarantined(ref) == [("x.csv", 21, bad, "quote is not closed")]
    assert [row[0] for row in kept] == [str(user) for user in range(50)]


def test_a_row_longer_than_4_mib_is_one_bad_row(read, write):
    path = write("x.csv", b"1,1,3\n2," + b"y" * 9_000_000 + b",3\n3,1,3\n")
    ref, rows = read(path, on_bad_row="quarantine", max_bad_fraction=1)
    assert [row[0] for row in rows] == ["1", "3"]
    assert quarantined(ref)[0][1::2] == (2, "row is longer than 4 MiB")


@pytest.mark.parametrize("block", [7, 4096])
@pytest.mark.parametrize("separator", [",", ";", "|", "\t"])
def test_blanks_around_a_quoted_field_are_no_part_of_it(separator, block, read, write, monkeypatch):
    monkeypatch.setattr("cfmodel.data.formats.compressed.BLOCK_BYTES", block)
    rows = ['"user", "movie", "rating"', '7, "a, b", 3', ' "8" ,  "c\nd" , 4', '9, "e ""f, "" g", "5" ', '1, "h"i, 2']
    path = write("x.csv", "\n".join(rows).replace(",", separator) + "\n")
    movies = ["a, b".replace(",", separator), "c\nd", 'e "f, " g'.replace(",", separator), "hi"]
    assert [row[1] for row in read(path)[1]] == movies


def test_a_field_of_blanks_and_an_open_quote_is_a_bad_row(read, write):
    ref, rows = read(write("x.csv", '7,a,3\n8, "b,4\n9,c,5\n'), on_bad_row="quarantine", max_bad_fraction=1)
    assert [row[0] for row in rows] == ["7", "9"]
    assert quarantined(ref) == [("x.csv", 2, '8, "b,4', "quote is not closed")]


def test_the_places_of_a_block_s_records_are_found_once():
    (block,) = split_into_records(iter([b"a\n\nbc\n"]), ",")
    assert block.spans is block.spans
    assert [list(places) for places in block.spans] == [[0, 3], [1, 5]]
