"""The quarantine of bad rows: file, row, text and reason."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cfmodel.config import IngestSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.errors import DataError
from cfmodel.refs import Accounts

HEAD = "user,item,rating,timestamp\n"
BAD = [
    ("1,2,abc,5", "rating is not a number"),
    ("1,3,,5", "rating is missing"),
    ("1,4,N/A,5", "rating is missing"),
    ("1,5,-inf,5", "rating is not finite"),
    (",6,3,5", "user_id is missing"),
    ("1,null,3,5", "movie_id is missing"),
    ("1,8,9.5,5", "rating is outside ingest.rating_range"),
    ("1,9,3", "row has another number of fields"),
    ('1,"9,3\n4,5,6",3,4,5', "row has another number of fields"),
    ("1,10,3,soon", "timestamp is not a date or time"),
    ("1,11,3,?", "timestamp is missing"),
    ("1,\\N,3,4", "movie_id is missing"),
]


def quarantined(ref):
    return [tuple(row.values()) for row in pq.read_table(ref.path / "quarantine.parquet").to_pylist()]


def test_bad_rows_are_quarantined_with_file_row_text_and_reason(read, write):
    good = [f"{user},1,3,5" for user in range(100, 100 + len(BAD))]
    lines = [line for pair in zip(good, (row for row, _ in BAD), strict=True) for line in pair]
    path = write("export.csv", HEAD + "\n".join(lines) + "\n")
    ref, rows = read(path, on_bad_row="quarantine", max_bad_fraction=1, rating_range=(0.5, 5.0))
    assert quarantined(ref) == [("export.csv", 2 * (place + 1), row, reason) for place, (row, reason) in enumerate(BAD)]
    assert [row[0] for row in rows] == [line.split(",")[0] for line in good]
    assert ref.accounts == Accounts(rows_in=len(lines), kept=len(good), quarantined=len(BAD))


def test_row_numbers_are_right_across_blocks_and_files(read, write, monkeypatch):
    monkeypatch.setattr("cfmodel.data.formats.compressed.BLOCK_BYTES", 64)
    write("set/a.csv", HEAD + "".join(f"{user},1,{'x' if user % 7 == 0 else 3},5\n" for user in range(1, 100)))
    path = write("set/b.csv", "".join(f"{user},2,{'3' if user % 5 else '3,4'},5\n" for user in range(1, 100)))
    ref, rows = read(path.parent, on_bad_row="quarantine", max_bad_fraction=1)
    found = [(file, row, text) for file, row, text, _ in quarantined(ref)]
    assert found == [("a.csv", user, f"{user},1,x,5") for user in range(7, 100, 7)] + [
        ("b.csv", user, f"{user},2,3,4,5") for user in range(5, 100, 5)
    ]
    assert len(rows) + len(found) == ref.accounts.rows_in == 198


def test_json_lines_and_parquet_rows_are_quarantined_too(read, write, tmp_path):
    lines = ['{"user":1,"item":2,"rating":3}', "{oops", '{"user":[1],"item":2,"rating":3}', "", '{"user":"\\ud800"}']
    ref, rows = read(write("x.jsonl", "\n".join(lines)), on_bad_row="quarantine", max_bad_fraction=1)
    assert [row[1:] for row in quarantined(ref)] == [
        (2, "{oops", "row is not one JSON object"),
        (3, lines[2], "user_id is neither text nor a number"),
        (4, lines[4], "user_id is not UTF-8 text"),
    ]
    users = pa.array([b"a", b"\xff", b"c"]).view(pa.string())
    pq.write_table(pa.table({"user": users, "item": [1, 2, 3], "rating": [1.0, 2.0, None]}), tmp_path / "x.parquet")
    ref, rows = read(tmp_path / "x.parquet", on_bad_row="quarantine", max_bad_fraction=1)
    assert rows == [("a", "1", 1.0, None)]
    assert [(row[1], row[3]) for row in quarantined(ref)] == [
        (2, "user_id is not UTF-8 text"),
        (3, "rating is missing"),
    ]
    assert json.loads(quarantined(ref)[1][2]) == {"user_id": "c", "movie_id": 3, "rating": None} or json.loads(
        quarantined(ref)[1][2]
    ) == {"user": "c", "item": 3, "rating": None}


def test_a_good_source_leaves_no_quarantine(read, write):
    ref, _ = read(write("x.csv", "1,2,3\n"), on_bad_row="quarantine")
    assert not (ref.path / "quarantine.parquet").exists()
    assert ref.accounts == Accounts(rows_in=1, kept=1)


@pytest.mark.parametrize(("bad", "passes"), [(2, True), (3, False)])
def test_more_bad_rows_than_allowed_stop_the_run_and_are_kept(bad, passes, write, tmp_path):
    path = write("x.csv", "".join(f"{user},1,{'x' if user < bad else 3}\n" for user in range(100)))
    settings = IngestSettings(on_bad_row="quarantine", max_bad_fraction=0.02)
    if passes:
        assert ingest(str(path), settings, folder=tmp_path).accounts.quarantined == bad
        return
    with pytest.raises(DataError, match=r"^3 of 100 rows are bad \(rating is not a number: 3\)") as refusal:
        ingest(str(path), settings, folder=tmp_path)
    (kept,) = (tmp_path / "quarantine").iterdir()
    assert str(kept) in str(refusal.value)
    assert "the first is x.csv, row 1: rating 'x'" in str(refusal.value)
    assert pq.read_table(kept)["row"].to_pylist() == [1, 2, 3]
    assert list((tmp_path / "ingested").iterdir()) == []


def test_a_source_of_only_bad_rows_has_no_ratings(read, write):
    with pytest.raises(DataError, match=r"holds no ratings"):
        read(write("x.csv", "1,2,x\n"), on_bad_row="quarantine", max_bad_fraction=1)


def test_the_text_of_a_long_row_is_cut(read, write):
    path = write("x.csv", f"1,2,3\n1,{'y' * 50_000},x\n")
    ref, _ = read(path, on_bad_row="quarantine", max_bad_fraction=1)
    assert quarantined(ref)[0][2].startswith("1,yyyy")
    assert len(quarantined(ref)[0][2]) < 10_100


def test_quarantine_is_not_advised_where_it_is_on_or_cannot_help(read, write):
    some = write("x.csv", "1,2,3\n2,2,x\n")
    with pytest.raises(DataError, match=r"set ingest.on_bad_row = 'quarantine'"):
        read(some)
    with pytest.raises(DataError, match=r"correct the source or raise the limit to 0.5; .* correct or remove the row$"):
        read(some, on_bad_row="quarantine")
    assert len(read(some, on_bad_row="quarantine", max_bad_fraction=0.5)[1]) == 1
    every = write("y.csv", "1,a,play\n2,b,play\n")
    for policy in ("stop", "quarantine"):
        with pytest.raises(
            DataError, match=r"has no header, so set ingest.columns.user_id, .*ingest.columns.rating"
        ) as refusal:
            read(every, on_bad_row=policy)
        assert "'quarantine'" not in str(refusal.value)
        assert "raise" not in str(refusal.value)
    columns = {"user_id": "1", "movie_id": "2", "rating": "4"}
    assert len(read(write("z.csv", "1,a,play,3\n2,b,play,4\n"), columns=columns)[1]) == 2
    named = write("w.csv", "user,movie,rating\n1,a,play\n2,b,play\n")
    with pytest.raises(DataError, match=r"all 2 rows read so far are bad, or name another column"):
        read(named)
