"""A fast share of the fuzzing; `make fuzz` does all of it. And laws that hold for any table of ratings."""

import csv
import io
import json

import pytest
from fuzzing import fuzz, require
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cfmodel.config import IngestSettings
from cfmodel.data import rows as rows_module
from cfmodel.data.ingest import ingest
from cfmodel.data.raw import Judged
from cfmodel.data.records import blocks_of_records
from cfmodel.data.storage import read_ratings
from cfmodel.errors import CFModelError


def test_damaged_files_and_settings_give_data_or_a_refusal():
    outcomes, faults = fuzz(600, seed=20_260_101)
    assert not faults, faults[0]
    assert outcomes["ingested"] > 30
    assert outcomes["DataError"] > 200
    assert outcomes["ConfigError"] > 50


def test_the_fuzzer_finds_a_row_that_is_lost(monkeypatch):
    judge = rows_module.judge

    def forgetful(*args, **kwargs):
        judged = judge(*args, **kwargs)
        kept = judged.ratings.slice(1) if judged.ratings.num_rows > 5 else judged.ratings
        return Judged(kept, judged.bad, judged.uncut, judged.unrated, judged.ignored)

    monkeypatch.setattr("cfmodel.data.readers.judge", forgetful)
    _, faults = fuzz(60, seed=1)
    assert "rows do not add up" in "".join(faults)


#: Ids as text files can hold them: no blanks around, no line ends, not what stands for a missing value.
IDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs")), min_size=1, max_size=8).filter(
    lambda text: text == text.strip() and text not in IngestSettings().missing and not text.startswith("#")
)
TABLES = st.dictionaries(
    st.tuples(IDS, IDS),
    st.tuples(st.integers(-50, 50).map(lambda half: half / 2), st.integers(-(10**10), 10**10)),
    min_size=1,
    max_size=30,
)


PIECES = [",", ";", '"', "\n", "\r\n", "1", "2.5", "user,item,rating\n", "x", "#", "\t", " ", "é"]


def delimited(table, separator, **options):
    file = io.StringIO()
    writer = csv.writer(file, delimiter=separator, **options)
    writer.writerow(["userId", "movieId", "rating", "timestamp"])
    writer.writerows((user, movie, rating, moment) for (user, movie), (rating, moment) in table.items())
    return file.getvalue()


def json_lines(table):
    rows = ({"user": u, "item": m, "rating": r, "time": t} for (u, m), (r, t) in table.items())
    return "".join(json.dumps(row) + "\n" for row in rows)


@given(
    table=TABLES,
    write=st.sampled_from(
        [
            lambda table: delimited(table, ","),
            lambda table: delimited(table, ";", quoting=csv.QUOTE_ALL),
            lambda table: delimited(table, "\t", lineterminator="\n"),
            json_lines,
        ]
    ),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    block=st.sampled_from([16, 100, 4_000_000]),
)
@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_what_is_written_is_what_is_read(table, write, encoding, block, tmp_path_factory, monkeypatch):
    monkeypatch.setattr("cfmodel.data.streams.BLOCK_BYTES", block)
    folder = tmp_path_factory.mktemp("table")
    path = folder / "x.csv"
    path.write_bytes(write(table).encode(encoding))
    ref = ingest(str(path), IngestSettings(timestamp_unit="s"), folder=folder)
    read = read_ratings(ref.path / "ratings.parquet").to_pylist()
    assert {(row["user_id"], row["movie_id"]): (row["rating"], row["timestamp"]) for row in read} == table


@given(
    content=st.one_of(
        st.binary(max_size=300),
        st.text(max_size=200).map(lambda text: text.encode(errors="replace")),
        st.lists(
            st.sampled_from(PIECES),
            max_size=60,
        ).map(lambda parts: "".join(parts).encode()),
    ),
    policy=st.sampled_from(["stop", "quarantine"]),
)
@settings(deadline=None, max_examples=150)
def test_any_bytes_give_ratings_that_add_up_or_a_refusal(content, policy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bytes")
    path = folder / "x"
    path.write_bytes(content)
    try:
        ref = ingest(str(path), IngestSettings(on_bad_row=policy, max_bad_fraction=1), folder=folder)
    except CFModelError as refusal:
        require(str(refusal) != "", "a refusal without a word")
        return
    ref.accounts.require_balance()
    assert read_ratings(ref.path / "ratings.parquet").num_rows == ref.rows > 0


@given(
    text=st.lists(st.sampled_from([",", '"', '""', "\n", "a", "bc", '"x\ny"', '",\n']), max_size=80).map("".join),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=20),
)
@settings(deadline=None, max_examples=300)
def test_records_hold_every_byte_once_wherever_blocks_are_cut(text, sizes):
    data = text.encode()

    def cut(sizes):
        place = 0
        while place < len(data):
            yield data[place : place + sizes[place % len(sizes)]]
            place += sizes[place % len(sizes)]

    def records(blocks):
        found = []
        for block in blocks_of_records(blocks, ","):
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
    blocks = list(blocks_of_records(iter([text.encode()]), ","))
    assert sum(len(block.ends) for block in blocks) == len(list(csv.reader(io.StringIO(text))))
