"""Checks of rows: types, missing values, and bad rows with a message."""

import json
import re
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cfmodel.errors import DataError
from cfmodel.refs import Accounts


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


def test_a_timestamp_column_is_optional(read, write):
    ref, rows = read(write("x.csv", "1,2,3\n"))
    assert rows == [("1", "2", 3.0, None)]
    assert not ref.has_timestamps


@pytest.mark.parametrize("blank", [" ", "\t ", "\u00a0"])
def test_an_id_of_only_blanks_is_empty_in_every_format(blank, read, write, tmp_path):
    columns = {"user": ["1", " 1 ", blank], "item": ["2", "2", "2"], "rating": [3, 3, 3]}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    write("x.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    write("x.csv", "".join(f"{row['user']},{row['item']},{row['rating']}\n" for row in rows))
    for name in ("x.parquet", "x.jsonl", "x.csv"):
        with pytest.raises(DataError, match=rf"^{name}, row 3: user_id is empty; correct or remove the row"):
            read(tmp_path / name)


HEAD = "userId,movieId,rating,timestamp\n"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("1,2,abc,5", "rating 'abc' is not a number; correct or remove the row"),
        ("1,2,,5", "rating is empty; correct or remove the row"),
        ("1,2,0x10,5", "rating '0x10' is not a number"),
        ("1,2,nan,5", "rating 'nan' stands for a missing value; .* remove it from ingest.missing"),
        ("1,2,-inf,5", "rating -inf is not finite"),
        ("1,2,1e999,5", "rating inf is not finite"),
        ("1,2,2e15,5", r"rating 2000000000000000.0 is larger than 1e\+15"),
        (",2,3,5", "user_id is empty"),
        ("1,,3,5", "movie_id is empty"),
        ("1,2,7.5,5", r"rating 7.5 is outside \[0.5, 5.0\]; set ingest.rating_range if the scale is different"),
        ("1,2,3", "3 fields where 4 are expected: '1,2,3'; correct or remove the row"),
        ("1,2,3,4,5", "5 fields where 4 are expected"),
        ("1,2,3,soon", r"timestamp 'soon' is not a time .* --set ingest.columns.timestamp="),
        ("1,2,3,", "timestamp is missing; .* --set ingest.columns.timestamp="),
    ],
)
@pytest.mark.parametrize("header", [HEAD, ""])
def test_a_bad_row_is_refused_with_file_row_value_and_remedy(row, problem, header, read, write, tmp_path):
    rows = "".join(f"{user},2,3,5\n" for user in range(1, 4812))
    path = write("ratings.csv", f"{header}{rows}{row}\n1,2,3,5\n")
    with pytest.raises(DataError, match=rf"^ratings.csv, row 4,812: {problem}"):
        read(path, rating_range=(0.5, 5.0))
    assert list((tmp_path / "data" / "ingested").iterdir()) == []


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
def test_a_bad_parquet_row_is_refused_with_its_row(column, values, problem, read, tmp_path):
    columns = {"user": [1, 2], "item": [1, 2], "rating": [1.0, 2.0], "time": [1, 2]} | {column: values}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=rf"^x.parquet, row 2: {problem}"):
        read(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("users", "type"), [([True, None], "bool"), ([date(2009, 12, 14)] * 2, "date32"), ([[1], [2]], "list")]
)
def test_a_parquet_column_of_an_unfit_type_is_refused_with_its_file(users, type, read, tmp_path):
    pq.write_table(pa.table({"user": users, "item": [1, 2], "rating": [1.0, 2.0]}), tmp_path / "x.parquet")
    with pytest.raises(
        DataError,
        match=rf"^x.parquet: user_id is of type {type}.*, not text .*; name another column in ingest.columns.user_id",
    ):
        read(tmp_path / "x.parquet")


def test_a_rating_that_means_not_rated_is_not_a_rating(read, write):
    ref, rows = read(write("x.csv", "1,1,0\n1,2,7\n"), not_rated=0, rating_range=(1, 10))
    assert rows == [("1", "2", 7.0, None)]
    assert ref.accounts == Accounts(rows_in=2, kept=1, unrated=1)


def test_a_decimal_rating_is_the_nearest_float(read, tmp_path):
    ratings = pa.array([Decimal("0.1235"), Decimal("0.9368"), Decimal("4.1000")], pa.decimal128(10, 4))
    pq.write_table(pa.table({"user": [1, 2, 3], "item": [1, 2, 3], "rating": ratings}), tmp_path / "x.parquet")
    assert [row[2] for row in read(tmp_path / "x.parquet")[1]] == [0.1235, 0.9368, 4.1]


def test_what_is_inside_a_parquet_column_is_flattened_by_the_command_that_is_told(read, tmp_path):
    table = pa.table({"user": [{"id": "7"}], "movie": [{"id": "a"}], "rating": [3]})
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"user_id is of type struct.* or write what is inside as columns") as told:
        read(tmp_path / "x.parquet")
    command = re.search('python -c "(.*)"', str(told.value))[1]
    exec(command.replace("'FILE'", repr(str(tmp_path / "x.parquet"))).replace("'ratings", f"'{tmp_path}/ratings"))
    assert read(tmp_path / "ratings.parquet")[1] == [("7", "a", 3.0, None)]
