"""Files as people really have them: every one gives the ratings it holds, and says so where it does not."""

import gzip
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cfmodel.config import ColumnNames
from cfmodel.errors import DataError
from cfmodel.refs import Accounts

HEAD = "userId,movieId,rating,timestamp\n"
ROWS = [("josé", "Amélie", 3.5, 1), ("zoë", "Amélie", 4.0, 2), ("naïf", "8½", 2.0, 3)]
TEXT = HEAD + "".join(",".join(map(str, row)) + "\n" for row in ROWS)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends_are_recognised(encoding, line_end, read, write):
    path = write("x.csv", TEXT.replace("\n", line_end).encode(encoding))
    assert read(path)[1] == ROWS


@pytest.mark.parametrize(("encoding", "user"), [("windows-1251", "иван"), ("shift_jis", "太郎"), ("gb18030", "王")])
def test_another_encoding_can_be_set(encoding, user, read, write):
    path = write("x.csv", f"{user},1,3\n".encode(encoding))
    assert read(path, encoding=encoding)[1] == [(user, "1", 3.0, None)]


def test_an_encoding_that_the_file_does_not_have_is_refused(read, write):
    with pytest.raises(DataError, match=r"^x.csv: is not shift_jis throughout .*; set ingest.encoding"):
        read(write("x.csv", b"1,2,3\n" + b"\xff\xff,2,3\n"), encoding="shift_jis")
    with pytest.raises(DataError, match=r"utf-16-le throughout \(truncated data\)"):
        read(write("y.csv", "1,2,3\n".encode("utf-16")[:-1]))


def test_utf_16_holds_across_blocks(read, write, monkeypatch):
    monkeypatch.setattr("cfmodel.data.formats.compressed.BLOCK_BYTES", 33)
    assert read(write("x.csv", TEXT.replace("\n", "\r\n").encode("utf-16")))[1] == ROWS


def test_a_row_in_another_encoding_than_its_file_is_bad_only_where_an_id_is_hit(read, write, monkeypatch):
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


@pytest.mark.parametrize(
    "text",
    [
        f"\n\n{TEXT}\n\n",
        TEXT.replace("\n", "\n\n"),
        TEXT.replace("\n", "\n  \t \n"),
        f"# exported by hand\n#\n{TEXT}# the end, all of it\n",
        f"# exported, 2026\n\n# by hand\n{TEXT.replace('zoë', '# a comment in between' + chr(10) + 'zoë')}",
        TEXT.replace(HEAD, "# userId,movieId,rating,timestamp\n"),
    ],
)
def test_blank_lines_and_comments_are_no_rows(text, read, write):
    ref, rows = read(write("x.csv", text))
    assert rows == ROWS
    assert ref.accounts.rows_in == 3


def test_a_comment_that_could_be_a_row_is_not_passed_over(read, write):
    assert [row[0] for row in read(write("x.csv", "#7,1,3\n8,1,3\n#9,1,4\n"))[1]] == ["#7", "8", "#9"]
    with pytest.raises(DataError, match=r"row 2: rating 'or not' is not a number"):
        read(write("y.csv", "8,1,3\n# one, two,or not\n"))


@pytest.mark.parametrize(
    ("text", "ratings"),
    [
        ("user;item;rating\n1;1;3,5\n1;2;4\n1;3;0,125\n", [3.5, 4.0, 0.125]),
        ('user,item,rating\n1,1,"3,5"\n1,2,"4"\n1,3,",5"\n', [3.5, 4.0, 0.5]),
        ("1\t1\t+3,5\n1\t2\t-4.5\n1\t3\t1e0\n", [3.5, -4.5, 1.0]),
    ],
)
def test_comma_decimals_and_numbers_as_text_are_numbers(text, ratings, read, write):
    assert [row[2] for row in read(write("x.csv", text))[1]] == ratings


def test_a_comma_that_may_part_thousands_has_to_be_told(read, write):
    path = write("x.csv", "user;item;rating\n1;1;1,234\n")
    with pytest.raises(
        DataError, match=r"rating '1,234' is not a number \(if the comma groups thousands, set ingest.decimal\)"
    ):
        read(path)
    assert read(path, decimal=",")[1][0][2] == 1.234
    with pytest.raises(DataError, match=r"rating '3.5' is not a number"):
        read(write("y.csv", "user;item;rating\n1;1;3.5\n"), decimal=",")


def test_three_columns_of_thousands_are_read(read, write):
    names = [f"c{number}" for number in range(5_000)]
    names[4_000], names[100], names[2_500] = "userId", "movieId", "rating"
    cells = [str(number) for number in range(5_000)]
    path = write("x.csv", ",".join(names) + "\n" + (",".join(cells) + "\n") + ",".join(["7"] * 5_000) + "\n")
    assert read(path)[1] == [("4000", "100", 2500.0, None), ("7", "7", 7.0, None)]


def test_missing_values_are_known_by_their_usual_names(read, write):
    names = ["", "NA", "N/A", "null", "NULL", "None", "nan", "\\N", "?", "-", "#N/A"]
    rows = "".join(f"{place},1,{name},5\n" for place, name in enumerate(names))
    rows += "".join(f"{name},1,3,5\n" for name in names) + "Nan,1,3,5\nnone,2,4,5\n"
    ref, kept = read(write("x.csv", HEAD + rows), on_bad_row="quarantine", max_bad_fraction=1)
    assert [row[0] for row in kept] == ["Nan", "none"]
    assert ref.accounts.quarantined == 2 * len(names)
    path = write("y.csv", HEAD + "NA,null,3,5\n")
    assert read(path, missing=())[1] == [("NA", "null", 3.0, 5)]
    with pytest.raises(DataError, match=r"movie_id '9' stands for a missing value; .* remove it from ingest.missing"):
        read(write("z.csv", "1,9,3\n"), missing=("9",))


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


SECONDS = 1_260_759_144


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (f"{SECONDS}000", SECONDS),
        (f"{SECONDS}999", SECONDS),
        (f"{SECONDS}000000", SECONDS),
        (f"{SECONDS}000000000", SECONDS),
        (f"{SECONDS},5", SECONDS),
        ("1.260759144e9", SECONDS),
        ("2009-12-14 02:52:24 UTC", SECONDS),
        ("2009-12-14T02:52:24.123456789Z", SECONDS),
        ("2009-12-14 03:52:24+01:00", SECONDS),
        ("2009-12-13T21:52:24-0500", SECONDS),
        ("2009-12-14T02:52", SECONDS - 24),
        ("1969-12-31 23:59:59", -1),
    ],
)
def test_a_moment_is_a_number_of_any_unit_or_iso_8601_with_and_without_zone(moment, expected, read, write):
    """Alone and beside another form in the same column."""
    assert read(write("x.csv", f'user,item,rating,time\n1,2,3,"{moment}"\n'))[1][0][3] == expected
    mixed = f'user,item,rating,time\n1,2,3,"{moment}"\n2,2,3,{SECONDS}\n3,2,3,2009-12-14T02:52:24Z\n4,2,3,2009-12-14\n'
    assert [row[3] for row in read(write("y.csv", mixed))[1]] == [expected, SECONDS, SECONDS, SECONDS // 86400 * 86400]


@pytest.mark.parametrize(
    "moment", ["2009-02-30", "14.12.2009", "2009-12-14T25:00", "1e30", "99999999999999999999", "inf"]
)
def test_what_is_no_moment_is_refused(moment, read, write):
    with pytest.raises(DataError, match=r"timestamp .* is not a time in seconds or ISO 8601"):
        read(write("x.csv", f"user,item,rating,time\n1,2,3,{moment}\n"))


def test_the_unit_of_a_timestamp_can_be_set(read, write):
    path = write("x.csv", "user,item,rating,time\n1,2,3,5000\n")
    assert read(path, timestamp_unit="ms")[1][0][3] == 5


WIDE = "user,a,b,c\nu1,1.5,99,-3\nu2,,4,NA\nu3,99,99,99\n"


def test_a_wide_table_has_a_rating_in_each_cell_but_those_that_say_not_rated(read, write):
    ref, rows = read(write("x.csv", WIDE), layout="wide", not_rated=99)
    assert rows == [("u1", "a", 1.5, None), ("u1", "c", -3.0, None), ("u2", "b", 4.0, None)]
    assert ref.accounts == Accounts(rows_in=9, kept=3, unrated=6)


def test_jesters_layout_is_read_with_row_numbers_for_users(read, write):
    """As published: no header, first the number of jokes a person rated, then a column for each joke."""
    write("jester/1.csv", "2,7.82,99,-8.79\n1,99,4.08,99\n")
    path = write("jester/2.csv", "1,99,99,5\n")
    columns = ColumnNames(user_id="", ignored=("1",))
    ref, rows = read(path.parent, layout="wide", not_rated=99, columns=columns)
    assert rows == [("1", "2", 7.82, None), ("1", "4", -8.79, None), ("2", "3", 4.08, None), ("3", "4", 5.0, None)]
    assert ref.accounts == Accounts(rows_in=9, kept=4, unrated=5)


def test_a_bad_cell_of_a_wide_table_is_set_aside_alone(read, write):
    ref, rows = read(
        write("x.csv", "user,a,b\nu1,1,x\nu2,2\nu3,y,4\n"), layout="wide", on_bad_row="quarantine", max_bad_fraction=1
    )
    assert rows == [("u1", "a", 1.0, None), ("u3", "b", 4.0, None)]
    assert pq.read_table(ref.path / "quarantine.parquet")["text"].to_pylist() == ["u1,1,x", "u2,2", "u3,y,4"]
    assert ref.accounts == Accounts(rows_in=5, kept=2, quarantined=3)


def test_a_field_that_is_needed_has_a_name_that_can_be_written(read, write):
    half = '{"user\\ud800":1,"item":2,"rating":3}\n'
    with pytest.raises(
        DataError, match=r"^x.jsonl: the name of column 'user\\ud800' is not UTF-8 text; rename the column"
    ):
        read(write("x.jsonl", half))
    with pytest.raises(DataError, match="is not UTF-8 text"):
        read(write("x.jsonl", '{"user":1,"\\ud800":2,"b":3}\n'), layout="wide")
    # One that is not needed does no harm.
    assert read(write("x.jsonl", '{"user":1,"item":2,"rating":3,"\\ud800":4}\n'))[1] == [("1", "2", 3.0, None)]


def test_a_wide_parquet_file_and_wide_json_lines_are_read_too(read, write, tmp_path):
    pq.write_table(pa.table({"user": ["u", "v"], "a": [1.0, None], "b": pa.array([99, 3])}), tmp_path / "x.parquet")
    expected = [("u", "a", 1.0, None), ("v", "b", 3.0, None)]
    assert read(tmp_path / "x.parquet", layout="wide", not_rated=99)[1] == expected
    path = write("x.jsonl", '{"user":"u","a":1,"b":99}\n{"user":"v","b":3}\n')
    assert read(path, layout="wide", not_rated=99)[1] == expected


def test_a_wide_table_needs_to_know_its_users(read, write):
    with pytest.raises(
        DataError, match=r"the wide table has no header, so its user column is unknown; .* ingest.columns.user_id"
    ):
        read(write("x.csv", "1,2,3\n4,5,6\n"), layout="wide")
    with pytest.raises(DataError, match=r"ingest.columns.ignored names 'z'; the file has 4 columns: 'user', 'a'"):
        read(write("y.csv", WIDE), layout="wide", columns=ColumnNames(ignored=("z",)))
    with pytest.raises(DataError, match=r"two columns of the same name"):
        read(write("z.csv", WIDE.replace("b", "a")), layout="wide")


def test_a_rating_that_says_not_rated_is_no_row_of_a_long_table_either(read, write):
    ref, rows = read(write("x.csv", "1,1,0\n1,2,7\n"), not_rated=0, rating_range=(1, 10))
    assert rows == [("1", "2", 7.0, None)]
    assert ref.accounts == Accounts(rows_in=2, kept=1, unrated=1)


def test_files_may_have_their_columns_in_different_orders(read, write):
    write("set/a.csv", "user,item,rating\n1,2,3\n")
    write("set/b.csv", "rating,extra,item,user\n4,x,5,6\n")
    path = write("set/c.tsv", "item\tuser\trating\n8\t7\t5\n")
    assert read(path.parent)[1] == [("1", "2", 3.0, None), ("6", "5", 4.0, None), ("7", "8", 5.0, None)]


def test_a_part_without_a_header_has_the_columns_of_the_part_with_one(read, write):
    write("set/x-00.csv", "rating,item,user\n3,2,1\n")
    path = write("set/x-01.csv", "4,5,6\n")
    assert read(path.parent)[1] == [("1", "2", 3.0, None), ("6", "5", 4.0, None)]


def test_nested_folders_of_parquet_parts_are_read(read, tmp_path):
    for place, part in enumerate(("day=1/part-0.parquet", "day=1/part-1.parquet", "day=2/deep/part-0.parquet")):
        path = tmp_path / "set" / part
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"user": [f"u{place}"], "item": [place], "rating": [1.0]}), path)
    (tmp_path / "set" / "_SUCCESS").touch()
    (tmp_path / "set" / "day=1" / "_temporary.csv").write_text("x")
    rows = read(tmp_path / "set")[1]
    assert [row[0] for row in rows] == ["u0", "u1", "u2"]


def test_a_file_cut_off_in_the_middle_has_a_bad_last_row(read, write):
    with pytest.raises(DataError, match=r"x.csv, row 3: 2 fields where 4 are expected: 'naïf,8'"):
        read(write("x.csv", TEXT[: TEXT.index("½")]))
    ref, rows = read(write("y.csv", TEXT[: TEXT.index("½")]), on_bad_row="quarantine", max_bad_fraction=0.5)
    assert (rows, ref.accounts.quarantined) == (ROWS[:2], 1)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", "\ufeff".encode("utf-16-le"), b"  \r\n"])
def test_an_empty_file_is_said_to_be_empty(content, read, write):
    with pytest.raises(DataError, match=r"x.csv: is empty; give a file with ratings"):
        read(write("x.csv", content))


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
def test_a_gzip_that_lies_about_itself_is_refused(content, problem, read, write):
    with pytest.raises(DataError, match=f"x.csv.gz: is {problem}"):
        read(write("x.csv.gz", content))


def test_a_file_is_what_it_holds_and_not_what_its_name_says(read, write):
    assert len(read(write("x.csv.gz", b"1,2,3\n4,5,1\n"))[1]) == 2
    assert len(read(write("x.csv", PACKED))[1]) == 2


def test_a_file_that_unpacks_without_end_is_refused(read, write, monkeypatch):
    monkeypatch.setattr("cfmodel.data.formats.compressed._FROM_BYTES", 1_000_000)
    path = write("x.csv.zst", pa.compress(b"1,2,3\n" * 1_000_000, codec="zstd", asbytes=True))
    with pytest.raises(DataError, match=r"x.csv.zst: decompresses to more than 200 times its size"):
        read(path)
