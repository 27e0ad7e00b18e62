"""A short run of the fuzzer (`make fuzz` does all of it), and properties of ingest on any input."""

import csv
import io
import json

from fuzzing import fuzz, require
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored_ratings import rows_in

from cfmodel.config import IngestSettings
from cfmodel.data.formats.raw_rows import CheckedRows
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.reading.check_rows import check_rows
from cfmodel.data.storage import read_ratings_file
from cfmodel.errors import CFModelError


def test_damaged_files_and_settings_give_data_or_a_refusal():
    outcomes, faults = fuzz(600, seed=20_260_101)
    assert not faults, faults[0]
    assert outcomes["ingested"] > 30
    assert outcomes["DataError"] > 200
    assert outcomes["ConfigError"] > 50


def test_the_fuzzer_finds_a_lost_row(monkeypatch):
    def forgetful(*args, **kwargs):
        checked = check_rows(*args, **kwargs)
        kept = checked.ratings.slice(1) if checked.ratings.num_rows > 5 else checked.ratings
        return CheckedRows(kept, checked.bad, checked.uncut, checked.unrated, checked.ignored)

    monkeypatch.setattr("cfmodel.data.reading.read_file.check_rows", forgetful)
    _, faults = fuzz(60, seed=1)
    assert "rows do not add up" in "".join(faults)


#: Ids as text files can hold them: no blanks around, no line ends, not what stands for a missing value.
IDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs")), min_size=1, max_size=8).filter(
    lambda text: text == text.strip() and text not in IngestSettings().missing and not text.startswith("#")
)

TABLES = st.dictionaries(
    st.tuples(IDS, IDS),
    st.tuples(st.integers(-50, 50).map(lambda half: half / 2), st.integers(-(9 * 10**9), 9 * 10**9)),
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
    monkeypatch.setattr("cfmodel.data.formats.compressed.BLOCK_BYTES", block)
    folder = tmp_path_factory.mktemp("table")
    path = folder / "x.csv"
    path.write_bytes(write(table).encode(encoding))
    ref = ingest(str(path), IngestSettings(timestamp_unit="s"), folder=folder)
    read = read_ratings_file(ref.path / "ratings.parquet")
    assert {row[:2]: row[2:] for row in rows_in(read)} == table


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
    assert read_ratings_file(ref.path / "ratings.parquet").num_rows == ref.rows > 0
