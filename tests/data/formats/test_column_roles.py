"""The roles of columns: by name, by number, and in a wide table."""

import pytest

from cfmodel.config import ColumnNames
from cfmodel.errors import DataError


def test_settings_give_other_column_names(read, write):
    path = write("x.csv", "wer,was,wie\n1,2,3\n")
    assert read(path, columns=ColumnNames(user_id="wer", movie_id="was", rating="wie"))[1] == [("1", "2", 3.0, None)]


def test_columns_without_names_are_given_by_number(read, write):
    path = write("x.csv", "5,3,u,m\n4,2,v,m\n")
    columns = ColumnNames(user_id="3", movie_id="4", rating="1", timestamp="2")
    assert read(path, columns=columns)[1] == [("u", "m", 5.0, 3), ("v", "m", 4.0, 2)]
    assert read(path, columns=ColumnNames(user_id="3", movie_id="4", rating="1"))[1][0] == ("u", "m", 5.0, None)


def test_unreadable_timestamps_can_be_left_out(read, write):
    path = write("x.csv", "user,item,rating,date\n1,2,3,last Tuesday\n")
    assert read(path, columns=ColumnNames(timestamp=""))[1] == [("1", "2", 3.0, None)]


def test_a_bad_first_row_is_not_taken_for_a_header(read, write):
    with pytest.raises(DataError, match=r"^x.csv, row 1: rating 'abc' is not a number"):
        read(write("x.csv", "1,2,abc\n1,2,3\n"))


def test_settings_that_match_no_column_are_refused_with_the_columns_of_the_file(read, write):
    path = write("x.csv", "user,item,rating\n1,2,3\n")
    with pytest.raises(DataError, match=r"ingest.columns.rating is 'stars'; the file has 3 columns: 'user', 'item'"):
        read(path, columns=ColumnNames(rating="stars"))
    with pytest.raises(DataError, match="column 1 would be both user_id and movie_id"):
        read(path, columns=ColumnNames(movie_id="user"))
    with pytest.raises(DataError, match=r"ingest.columns.rating is 'stars', but the file has no header row"):
        read(write("y.csv", "1,2,3\n"), columns=ColumnNames(rating="stars"))


def test_a_column_with_a_role_needs_a_valid_name(read, write):
    half = '{"user\\ud800":1,"item":2,"rating":3}\n'
    with pytest.raises(
        DataError, match=r"^x.jsonl: the name of column 'user\\ud800' is not UTF-8 text; rename the column"
    ):
        read(write("x.jsonl", half))
    with pytest.raises(DataError, match="is not UTF-8 text"):
        read(write("x.jsonl", '{"user":1,"\\ud800":2,"b":3}\n'), layout="wide")
    # One that is not needed does no harm.
    assert read(write("x.jsonl", '{"user":1,"item":2,"rating":3,"\\ud800":4}\n'))[1] == [("1", "2", 3.0, None)]


def test_three_of_5000_columns_are_read(read, write):
    names = [f"c{number}" for number in range(5_000)]
    names[4_000], names[100], names[2_500] = "userId", "movieId", "rating"
    cells = [str(number) for number in range(5_000)]
    path = write("x.csv", ",".join(names) + "\n" + (",".join(cells) + "\n") + ",".join(["7"] * 5_000) + "\n")
    assert read(path)[1] == [("4000", "100", 2500.0, None), ("7", "7", 7.0, None)]


WIDE = "user,a,b,c\nu1,1.5,99,-3\nu2,,4,NA\nu3,99,99,99\n"


def test_a_wide_table_needs_a_user_column(read, write):
    with pytest.raises(
        DataError, match=r"the wide table has no header, so its user column is unknown; .* ingest.columns.user_id"
    ):
        read(write("x.csv", "1,2,3\n4,5,6\n"), layout="wide")
    with pytest.raises(DataError, match=r"ingest.columns.ignored names 'z'; the file has 4 columns: 'user', 'a'"):
        read(write("y.csv", WIDE), layout="wide", columns=ColumnNames(ignored=("z",)))
    with pytest.raises(DataError, match=r"two columns of the same name"):
        read(write("z.csv", WIDE.replace("b", "a")), layout="wide")


@pytest.mark.parametrize(
    "header",
    [
        "Date,Name,Year,Letterboxd URI,Rating",
        "Const,Your Rating,Date Rated,Title,URL",
        "Book Id,Title,Author,My Rating,Average Rating",
        "movie_id,rating,watched",
    ],
)
def test_an_export_without_a_user_is_said_to_be_one_persons(header, read, write):
    path = write("x.csv", f"{header}\n{','.join('3' for _ in header.split(','))}\n")
    with pytest.raises(DataError, match=r"one person's export .*, which is no table of ratings by many: add a column"):
        read(path)


def test_the_remedy_for_one_persons_export_works(read, write):
    write("set/ann.csv", "user_id,movie_id,rating\nann,a,4\n")
    path = write("set/bob.csv", "user_id,movie_id,rating\nbob,a,2\n")
    assert [row[0] for row in read(path.parent)[1]] == ["ann", "bob"]


def test_types_behind_names_and_tables_before_them_are_no_part_of_the_name(read, write):
    """As RecBole's atomic files and the SNAP reviews have them; a setting gives the name as it stands."""
    path = write("x.inter", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n7\ta\t3.5\t9\n")
    assert read(path)[1] == [("7", "a", 3.5, 9)]
    assert read(path, columns=ColumnNames(user_id="item_id:token", movie_id="user_id:token"))[1] == [("a", "7", 3.5, 9)]
    assert read(write("x.csv", "review/userId,product/productId,review/score\n7,a,3\n"))[1] == [("7", "a", 3.0, None)]
