import gzip
import json
import os
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cfmodel.config import ColumnNames, IngestSettings
from cfmodel.data.ingest.ingest import RowsRead, ingest, source_digest
from cfmodel.errors import DataError
from cfmodel.housekeeping.folders import last_used

ROWS = [("1", "31", 2.5, 1260759144), ("007", "31", 4.0, 1260759179), ("7", "b,c", 5.0, 1260759180)]


def text(separator, header="", rows=ROWS):
    quoted = [(user, f'"{movie}"' if separator in movie else movie, *rest) for user, movie, *rest in rows]
    return header + "".join(separator.join(str(field) for field in row) + "\n" for row in quoted)


JSON_LINES = "".join(
    json.dumps({"user": user, "asin": movie, "overall": rating, "ts": moment, "text": "a\nb"}) + "\n"
    for user, movie, rating, moment in [(1, 31, 2.5, 1260759144), *ROWS[1:]]
)
FILES = {
    "ratings.csv": text(",", "userId,movieId,rating,timestamp\n"),
    "excel.csv": "\ufeff" + text(";", "User-ID;ISBN;Book-Rating;Date\n").replace("\n", "\r\n"),
    "ratings.tsv": text("\t", "user_id\titem_id\tstars\ttime\n"),
    "u.data": text("\t"),
    "u1.base": text("\t"),
    "ratings.dat": text("::"),
    "bars.txt": text("|"),
    "headless.csv": text(","),
    "lines.jsonl": JSON_LINES,
    "no-last-newline.csv": text(",", "userId,movieId,rating,timestamp\n").rstrip("\n"),
    "more-columns.csv": "review,uid,product_id,score,ts\n"
    + "".join(f'"good, ""bad""\nand so on",{u},"{m}",{r},{t}\n' for u, m, r, t in ROWS),
}


@pytest.mark.parametrize("packed", ["", ".gz", ".zst"])
@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_ratings(name, packed, read, write):
    content = FILES[name].encode()
    if packed:
        content = gzip.compress(content) if packed == ".gz" else pa.compress(content, codec="zstd", asbytes=True)
    ref, rows = read(write(name + packed, content))
    assert rows == ROWS
    assert (ref.rows, ref.users, ref.movies, ref.rating_min, ref.rating_max) == (3, 3, 2, 2.5, 5.0)
    assert ref.has_timestamps
    assert ref.noise_floor is None


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        (pa.array([1, 2**53 + 1]), ["1", "9007199254740993"]),
        (pa.array([1.0, 2.0]), ["1", "2"]),
        (pa.array(["007", "7"]).dictionary_encode(), ["007", "7"]),
        (pa.array(["a", "b"], pa.large_string()), ["a", "b"]),
        (pa.array([1, 2**64 - 1], pa.uint64()), ["1", "18446744073709551615"]),
    ],
)
@pytest.mark.parametrize(
    "ratings", [pa.array([1, 5], pa.int8()), pa.array(["1", "5"]), pa.array([1.0, 5.0], pa.float32())]
)
def test_parquet_columns_of_any_type_become_text_ids_and_numbers(users, expected, ratings, read, tmp_path):
    pq.write_table(pa.table({"rating": ratings, "item": [1, 2], "user": users}), tmp_path / "x.parquet")
    ref, rows = read(tmp_path / "x.parquet")
    assert rows == [(expected[0], "1", 1.0, None), (expected[1], "2", 5.0, None)]
    assert not ref.has_timestamps


MOMENT = datetime(2009, 12, 14, 2, 52, 24, tzinfo=UTC)
SECONDS = int(MOMENT.timestamp())


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (f"{SECONDS}", SECONDS),
        (f"{SECONDS}.75", SECONDS),
        ("2009-12-14 02:52:24", SECONDS),
        ("2009-12-14T02:52:24.5Z", SECONDS),
        ("2009-12-14T03:52:24+01:00", SECONDS),
        ("2009-12-14", SECONDS // 86400 * 86400),
        ("-86400", -86400),
    ],
)
def test_a_timestamp_is_seconds_or_iso_text(moment, expected, read, write):
    assert read(write("x.csv", f"user,item,rating,time\n1,2,3,{moment}\n"))[1] == [("1", "2", 3.0, expected)]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (pa.array([MOMENT], pa.timestamp("ns", "Europe/Berlin")), SECONDS),
        (pa.array([MOMENT.replace(tzinfo=None)], pa.timestamp("ms")), SECONDS),
        (pa.array([date(2009, 12, 14)]), SECONDS // 86400 * 86400),
        (pa.array([float(SECONDS)]), SECONDS),
        (pa.array([None], pa.null()), None),
    ],
)
def test_a_parquet_timestamp_of_any_type_becomes_seconds(moment, expected, read, tmp_path):
    pq.write_table(pa.table({"user": [1], "item": [2], "rating": [3], "time": moment}), tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet")[1] == [("1", "2", 3.0, expected)]


def test_no_timestamp_column_is_fine(read, write):
    ref, rows = read(write("x.csv", "1,2,3\n"))
    assert rows == [("1", "2", 3.0, None)]
    assert not ref.has_timestamps


def test_unreadable_timestamps_can_be_left_out(read, write):
    path = write("x.csv", "user,item,rating,date\n1,2,3,last Tuesday\n")
    assert read(path, columns=ColumnNames(timestamp=""))[1] == [("1", "2", 3.0, None)]


def test_other_column_names_are_given_by_settings(read, write):
    path = write("x.csv", "wer,was,wie\n1,2,3\n")
    assert read(path, columns=ColumnNames(user_id="wer", movie_id="was", rating="wie"))[1] == [("1", "2", 3.0, None)]


def test_columns_without_names_are_given_by_number(read, write):
    path = write("x.csv", "5,3,u,m\n4,2,v,m\n")
    columns = ColumnNames(user_id="3", movie_id="4", rating="1", timestamp="2")
    assert read(path, columns=columns)[1] == [("u", "m", 5.0, 3), ("v", "m", 4.0, 2)]
    assert read(path, columns=ColumnNames(user_id="3", movie_id="4", rating="1"))[1][0] == ("u", "m", 5.0, None)


def test_separator_and_header_can_be_set(read, write):
    path = write("x.txt", "7~~8~~3\n9~~8~~4\n")
    assert len(read(path, separator="~~")[1]) == 2
    numbers = ColumnNames(user_id="7", movie_id="8", rating="3")
    assert read(path, separator="~~", header=True, columns=numbers)[1] == [("9", "8", 4.0, None)]


def test_separators_of_several_characters_hold_across_blocks(read, write, monkeypatch):
    monkeypatch.setattr("cfmodel.data.formats.compressed.BLOCK_BYTES", 64)
    rows = [(str(user), str(user % 7), float(user % 5), user) for user in range(200)]
    assert read(write("ratings.dat", text("::", rows=rows)))[1] == rows
    lines = "".join(json.dumps({"user": u, "item": m, "rating": r, "ts": t}) + "\n" for u, m, r, t in rows)
    assert read(write("ratings.jsonl", lines))[1] == rows


def test_json_ids_may_be_numbers_in_one_line_and_text_in_another(read, write):
    path = write("x.jsonl", f'{{"user":7,"item":{2**70},"rating":1}}\n\n{{"rating":"2.5","user":"007","item":3.0}}\n')
    assert read(path)[1] == [("7", str(2**70), 1.0, None), ("007", "3", 2.5, None)]


def test_a_json_field_may_first_appear_in_a_later_object_of_the_first_block(read, write):
    path = write("x.jsonl", '{"user":1,"item":2,"rating":3}\n{"user":1,"item":3,"rating":4,"timestamp":5}\n')
    with pytest.raises(DataError, match=r"^x.jsonl, row 1: timestamp is missing; .* ingest.columns.timestamp = ''"):
        read(path)
    assert len(read(path, columns=ColumnNames(timestamp=""))[1]) == 2


@pytest.mark.parametrize("number", ["7", "7.0", "7.00", "7e0", '"7"'])
def test_a_whole_json_number_is_its_decimal_text(number, read, write):
    path = write("x.jsonl", f'{{"user":{number},"item":"2.5","rating":3.5}}\n')
    assert read(path)[1] == [("7", "2.5", 3.5, None)]


@pytest.mark.parametrize("separator", [",", ";", "::", "\t"])
def test_blanks_around_a_field_of_text_are_not_part_of_it(separator, read, write):
    rows = [("userId", "movieId", "rating", "timestamp"), (7, "a b", 3, "2009-12-14"), (8, "a b", 4, "2009-12-14")]
    content = "".join(separator.join(f" {field} " for field in row) + "\n" for row in rows)
    midnight = SECONDS // 86400 * 86400
    assert read(write("x.csv", content))[1] == [("7", "a b", 3.0, midnight), ("8", "a b", 4.0, midnight)]


@pytest.mark.parametrize("blank", [" ", "\t ", "\u00a0"])
def test_an_id_of_nothing_but_blanks_is_empty_in_every_format(blank, read, write, tmp_path):
    columns = {"user": ["1", " 1 ", blank], "item": ["2", "2", "2"], "rating": [3, 3, 3]}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    write("x.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    write("x.csv", "".join(f"{row['user']},{row['item']},{row['rating']}\n" for row in rows))
    for name in ("x.parquet", "x.jsonl", "x.csv"):
        with pytest.raises(DataError, match=rf"^{name}, row 3: user_id is empty; correct or remove the row"):
            read(tmp_path / name)


def test_blanks_are_part_of_an_id_where_no_separator_cuts_it(read, write):
    assert read(write("x.jsonl", '{"user":" 7","item":"a b","rating":3}\n'))[1] == [(" 7", "a b", 3.0, None)]


def test_files_packed_one_behind_the_other_are_read_to_the_end(read, write):
    path = write("x.csv.gz", gzip.compress(b"user,item,rating\n1,2,3\n") + gzip.compress(b"4,5,6\n"))
    assert len(read(path)[1]) == 2


@pytest.mark.parametrize("pattern", ["*.csv", ""])
def test_a_glob_and_a_folder_are_read_in_order_of_names(pattern, read, write, tmp_path):
    write("set/b.csv", "user,item,rating\n3,1,1\n")
    write("set/a.csv", "2,1,1\n")
    write("set/.hidden.csv", "x")
    write("set/README", "x")
    _, rows = read(tmp_path / "set" / pattern)
    assert [row[0] for row in rows] == ["2", "3"]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("ratings.csv", "movies.csv"),
        ("ratings.csv", "links.csv"),
        ("ratings.csv.gz", "tags.csv"),
        ("ratings.dat", "movies.dat"),
        ("u.data", "u.item"),
        ("u.data.gz", "u.item.gz"),
    ],
)
def test_in_a_folder_with_a_known_layout_the_ratings_file_is_read_alone(name, other, read, write, tmp_path):
    content = b"1::2::3\n"
    write(f"set/{name}", gzip.compress(content) if name.endswith(".gz") else content)
    write(f"set/{other}", "movieId,title\n1,x\n")
    write("set/README.txt", "x")
    ref, rows = read(tmp_path / "set")
    assert rows == [("1", "2", 3.0, None)]
    assert files_of(ref) == [name]


@pytest.mark.parametrize("name", ["ratings.csv", "ratings.dat", "u.data", "ratings.parquet"])
def test_in_any_other_folder_every_file_is_read_and_named(name, read, write, tmp_path):
    if name.endswith("parquet"):
        (tmp_path / "set").mkdir()
        pq.write_table(pa.table({"user": ["1"], "item": ["2"], "rating": [3]}), tmp_path / "set" / name)
    else:
        write(f"set/{name}", "1::2::3\n")
    write("set/ratings-2024.csv", "3,4,5\n")
    ref, rows = read(tmp_path / "set")
    assert sorted(row[0] for row in rows) == ["1", "3"]
    assert files_of(ref) == sorted([name, "ratings-2024.csv"])


def test_a_refused_file_among_several_is_named_with_those_read_together(read, write):
    write("set/ratings.csv", "1,2,3\n")
    path = write("set/notes.txt", "only words here\n")
    with pytest.raises(
        DataError, match=r"^notes.txt: no separator .*\(read together: 2 files, notes.txt, ratings.csv\)"
    ):
        read(path.parent)


def files_of(ref):
    return [file["name"] for file in json.loads((ref.path / "manifest.json").read_text())["files"]]


HEAD = "userId,movieId,rating,timestamp\n"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("1,2,abc,5", "rating 'abc' is not a number; correct or remove the row"),
        ("1,2,,5", "rating is empty; correct or remove the row"),
        ("1,2,0x10,5", "rating '0x10' is not a number"),
        ("1,2,nan,5", "rating 'nan' stands for a missing value; .* take it out of ingest.missing"),
        ("1,2,-inf,5", "rating -inf is not finite"),
        ("1,2,1e999,5", "rating inf is not finite"),
        ("1,2,2e15,5", r"rating 2000000000000000.0 is larger than 1e\+15"),
        (",2,3,5", "user_id is empty"),
        ("1,,3,5", "movie_id is empty"),
        ("1,2,7.5,5", r"rating 7.5 is outside \[0.5, 5.0\]; set ingest.rating_range if the scale is another"),
        ("1,2,3", "3 fields where 4 are expected: '1,2,3'; correct or remove the row"),
        ("1,2,3,4,5", "5 fields where 4 are expected"),
        ("1,2,3,soon", r"timestamp 'soon' is no moment .* ingest.columns.timestamp = ''"),
        ("1,2,3,", "timestamp is missing; .* ingest.columns.timestamp = ''"),
    ],
)
@pytest.mark.parametrize("header", [HEAD, ""])
def test_a_bad_row_stops_with_file_row_value_and_remedy(row, problem, header, read, write, tmp_path):
    rows = "".join(f"{user},2,3,5\n" for user in range(1, 4812))
    path = write("ratings.csv", f"{header}{rows}{row}\n1,2,3,5\n")
    with pytest.raises(DataError, match=rf"^ratings.csv, row 4,812: {problem}"):
        read(path, rating_range=(0.5, 5.0))
    assert list((tmp_path / "data" / "ingested").iterdir()) == []


def test_a_bad_row_of_a_later_block_is_counted_from_the_start_of_its_file(read, write, monkeypatch):
    monkeypatch.setattr("cfmodel.data.formats.compressed.BLOCK_BYTES", 100)
    good, bad = "".join(f"{user},2,3\n" for user in range(500)), "1,2,x\n"
    write("set/a.csv", good)
    path = write("set/b.csv", good + bad)
    with pytest.raises(DataError, match=r"^b.csv, row 501: rating 'x'"):
        read(path.parent)


def test_a_bad_first_row_is_not_taken_for_a_header(read, write):
    with pytest.raises(DataError, match=r"^x.csv, row 1: rating 'abc' is not a number"):
        read(write("x.csv", "1,2,abc\n1,2,3\n"))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{oops}", "is not one JSON object: '{oops}'"),
        ('{"user":1,"item":2,"rating":3},{}', "is not one JSON object"),
        ("[1]", "is not one JSON object"),
        ('{"user":1,"rating":3}', "movie_id is empty"),
        ('{"user":{"id":1},"item":2,"rating":3}', "user_id {'id': '1'} is neither text nor a number"),
        ('{"user":1,"item":2,"rating":NaN}', "rating is empty"),
        ('{"user":2.5,"item":2,"rating":3}', "user_id 2.5 is not a whole number; correct or remove the row"),
        ('{"user":1,"item":NaN,"rating":3}', "movie_id is empty"),
        ('{"user":1,"item":9007199254740993.5,"rating":3}', "movie_id 9007199254740993.5 is not a whole number"),
        ('{"user":1,"item":2}', "rating is empty"),
    ],
)
def test_a_bad_json_line_stops_with_its_row(line, problem, read, write):
    with pytest.raises(DataError, match=rf"^x.jsonl, row 2: {problem}".replace("{", r"\{").replace("[", r"\[")):
        read(write("x.jsonl", f'{{"user":1,"item":2,"rating":3}}\n{line}\n'))


@pytest.mark.parametrize(
    ("column", "values", "problem"),
    [
        ("user", pa.array([1, None]), "user_id is empty"),
        ("user", pa.array([1.0, 2.5]), "user_id 2.5 is not a whole number; correct or remove the row"),
        ("user", pa.array([b"a", b"\xff"]).view(pa.string()), r"user_id b'\\xff' is not UTF-8 text"),
        ("rating", pa.array([1.0, None]), "rating is empty"),
        ("time", pa.array([1, None]), "timestamp is missing"),
    ],
)
def test_a_bad_parquet_row_stops_with_its_row(column, values, problem, read, tmp_path):
    columns = {"user": [1, 2], "item": [1, 2], "rating": [1.0, 2.0], "time": [1, 2]} | {column: values}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=rf"^x.parquet, row 2: {problem}"):
        read(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("users", "type"), [([True, None], "bool"), ([date(2009, 12, 14)] * 2, "date32"), ([[1], [2]], "list")]
)
def test_a_parquet_column_that_cannot_hold_ids_is_refused_with_its_file(users, type, read, tmp_path):
    pq.write_table(pa.table({"user": users, "item": [1, 2], "rating": [1.0, 2.0]}), tmp_path / "x.parquet")
    with pytest.raises(
        DataError,
        match=rf"^x.parquet: user_id is of type {type}.*, not text .*; name another column in ingest.columns.user_id",
    ):
        read(tmp_path / "x.parquet")


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
        ("x.csv", b"only words here\n", "no separator cuts the first row .* set ingest.separator"),
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


def test_column_settings_that_fit_no_column_are_refused_with_what_is_there(read, write):
    path = write("x.csv", "user,item,rating\n1,2,3\n")
    with pytest.raises(DataError, match=r"ingest.columns.rating is 'stars'; the file has 3 columns: 'user', 'item'"):
        read(path, columns=ColumnNames(rating="stars"))
    with pytest.raises(DataError, match="column 1 would be both user_id and movie_id"):
        read(path, columns=ColumnNames(movie_id="user"))
    with pytest.raises(DataError, match=r"ingest.columns.rating is 'stars', but the file has no header row"):
        read(write("y.csv", "1,2,3\n"), columns=ColumnNames(rating="stars"))


@pytest.mark.parametrize("source", ["nowhere.csv", "nowhere/*.csv", "ml-99m", "~nobody-at-all/x.csv"])
def test_a_source_that_is_not_there_is_refused_with_what_can_be_given(source, read):
    with pytest.raises(
        DataError, match="no such file, folder or glob; give one, `synthetic`, or a public set: ml-100k"
    ):
        read(source)


def test_a_folder_without_ratings_is_refused_with_what_it_holds(read, write):
    path = write("set/notes.pdf", "x")
    with pytest.raises(DataError, match=r"no file of ratings .* it holds notes.pdf"):
        read(path.parent)


def test_an_equal_data_set_is_used_again_and_a_damaged_one_made_anew(read, write):
    path = write("x.csv", "1,2,3\n")
    first, _ = read(path)
    copy, _ = read(write("copy.csv", "1,2,3\n"))
    assert copy == first.model_copy(update={"source": copy.source})
    (first.path / "ratings.parquet").write_bytes(b"damaged")
    again, rows = read(path)
    assert (again.digest, len(rows)) == (first.digest, 1)
    assert read(path, rating_range=(1, 5))[0].path != first.path
    assert sorted(file.name for file in first.path.iterdir()) == [
        "manifest.json",
        "profile.json",
        "ratings.parquet",
        "snapshot.parquet",
    ]


def test_a_ref_tells_whether_its_data_set_was_reused(read, write):
    path = write("x.csv", "1,2,3\n")
    first, again = read(path)[0], read(path)[0]
    assert (first.reused, again.reused) == (False, True)
    (first.path / "ratings.parquet").write_bytes(b"damaged")
    assert not read(path)[0].reused
    assert "reused" not in (first.path / "manifest.json").read_text()


def test_a_reused_data_set_counts_as_just_used(read, write):
    path = write("x.csv", "1,2,3\n")
    folder = read(path)[0].path
    for each in (*folder.iterdir(), folder):
        os.utime(each, (0, 0))
    read(path)
    assert last_used(folder).year > 1970


def test_the_source_digest_is_over_bytes_and_not_over_names(write, tmp_path):
    def digest(source):
        return source_digest(str(source), folder=tmp_path)

    one, same, other = write("a.csv", "1,2,3\n"), write("b.csv", "1,2,3\n"), write("c.csv", "1,2,4\n")
    assert digest(one) == digest(same) != digest(other)
    assert digest("synthetic:seed=1") == digest("synthetic:seed=1,users=4000") != digest("synthetic:seed=2")


def test_the_source_is_left_as_it_was(read, write):
    path = write("x.csv", "1,2,3\n")
    path.chmod(0o444)
    before = path.stat()
    read(path)
    assert (path.read_text(), path.stat().st_mtime_ns) == ("1,2,3\n", before.st_mtime_ns)


def test_reading_is_reported_with_rows_and_the_share_read(write, tmp_path, monkeypatch):
    monkeypatch.setattr("cfmodel.data.formats.compressed.BLOCK_BYTES", 10_000)
    path = write("x.csv", "1,2,3\n" * 10_000)
    records = []
    ingest(str(path), IngestSettings(), folder=tmp_path, on_record=records.append)
    assert len(records) > 3
    assert all(isinstance(record, RowsRead) for record in records)
    assert records[-1] == RowsRead(10_000, 1.0)
    assert np.all(np.diff([record.fraction for record in records]) >= 0)


def test_planted_ratings_are_ingested_with_their_noise_floor(tmp_path):
    ref = ingest("synthetic:users=30,movies=20,ratings=200,noise=0.7", IngestSettings(), folder=tmp_path)
    assert (ref.rows, ref.users, ref.movies, ref.noise_floor, ref.has_timestamps) == (200, 30, 20, 0.7, True)


@pytest.mark.skipif("CFMODEL_DATA_DIR" not in os.environ, reason="CFMODEL_DATA_DIR is not set: no real ratings here")
@pytest.mark.parametrize(
    ("name", "expected"), [("ml-100k", (100_000, 943, 1682)), ("ml-latest-small", (100_004, 671, 9066))]
)
def test_a_set_already_unpacked_is_used_by_name(name, expected, tmp_path):
    if not (Path(os.environ["CFMODEL_DATA_DIR"]) / name).is_dir():
        pytest.skip(f"CFMODEL_DATA_DIR holds no {name}")
    ref = ingest(name, IngestSettings(), folder=tmp_path)
    assert (ref.rows, ref.users, ref.movies) == expected
    assert not (tmp_path / "downloads").exists()
