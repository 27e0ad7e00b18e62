"""Wide tables: a row per user and a column per movie."""

import pyarrow as pa
import pyarrow.parquet as pq

from cfmodel.config import ColumnNames
from cfmodel.refs import Accounts

WIDE = "user,a,b,c\nu1,1.5,99,-3\nu2,,4,NA\nu3,99,99,99\n"


def test_each_rated_cell_of_a_wide_table_is_a_rating(read, write):
    ref, rows = read(write("x.csv", WIDE), layout="wide", not_rated=99)
    assert rows == [("u1", "a", 1.5, None), ("u1", "c", -3.0, None), ("u2", "b", 4.0, None)]
    assert ref.accounts == Accounts(rows_in=9, kept=3, unrated=6)


def test_in_jesters_layout_row_numbers_are_user_ids(read, write):
    """As published: no header, first the number of jokes a person rated, then a column for each joke."""
    write("jester/1.csv", "2,7.82,99,-8.79\n1,99,4.08,99\n")
    path = write("jester/2.csv", "1,99,99,5\n")
    columns = ColumnNames(user_id="", ignored=("1",))
    ref, rows = read(path.parent, layout="wide", not_rated=99, columns=columns)
    assert rows == [("1", "2", 7.82, None), ("1", "4", -8.79, None), ("2", "3", 4.08, None), ("3", "4", 5.0, None)]
    assert ref.accounts == Accounts(rows_in=9, kept=4, unrated=5)


def test_a_bad_cell_of_a_wide_table_does_not_affect_its_row(read, write):
    ref, rows = read(
        write("x.csv", "user,a,b\nu1,1,x\nu2,2\nu3,y,4\n"), layout="wide", on_bad_row="quarantine", max_bad_fraction=1
    )
    assert rows == [("u1", "a", 1.0, None), ("u3", "b", 4.0, None)]
    assert pq.read_table(ref.path / "quarantine.parquet")["text"].to_pylist() == ["u1,1,x", "u2,2", "u3,y,4"]
    assert ref.accounts == Accounts(rows_in=5, kept=2, quarantined=3)


def test_a_wide_parquet_file_and_wide_json_lines_are_read_too(read, write, tmp_path):
    pq.write_table(pa.table({"user": ["u", "v"], "a": [1.0, None], "b": pa.array([99, 3])}), tmp_path / "x.parquet")
    expected = [("u", "a", 1.0, None), ("v", "b", 3.0, None)]
    assert read(tmp_path / "x.parquet", layout="wide", not_rated=99)[1] == expected
    path = write("x.jsonl", '{"user":"u","a":1,"b":99}\n{"user":"v","b":3}\n')
    assert read(path, layout="wide", not_rated=99)[1] == expected
