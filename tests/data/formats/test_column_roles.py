"""The roles of columns: by name, by number, and in a wide table."""

import pytest
from refusals import remedy_of

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
    ("text", "rows", "guess"),
    [
        ("user,artist_mbid,rating\n1,a,3\n", [("1", "a", 3.0, None)], "like a movie, so 'artist_mbid' is taken"),
        ("user,item,plays\n1,a,3\n", [("1", "a", 3.0, None)], "like a rating, so 'plays' is taken"),
        ("who,item,rating,time\n1,a,3,5\n", [("1", "a", 3.0, 5)], "like a user, so 'who' is taken"),
        (",title,user,rating\n0,a,1,3\n", [("1", "a", 3.0, None)], "like a movie, so 'title' is taken"),
    ],
)
def test_the_one_column_left_of_a_small_table_is_the_missing_one(text, rows, guess, read, write):
    ref, found = read(write("x.csv", text))
    assert found == rows
    assert len(ref.warnings) == 1
    assert guess in ref.warnings[0]


@pytest.mark.parametrize("header", ["movie_id,title,rating", "film,date,rating", "item,rating,review_text"])
def test_what_is_no_user_is_not_taken_for_one(header, read, write):
    with pytest.raises(DataError, match=r"no column is recognised as user_id; the file has 3 columns"):
        read(write("x.csv", f"{header}\n1,2,3\n"))


def test_two_columns_that_could_be_the_id_are_named(read, write):
    path = write("x.csv", "rating,title,asin,parent_asin,user_id,timestamp\n5,t,B1,B0,u,1609459200000\n")
    ref, rows = read(path)
    assert rows == [("u", "B1", 5.0, 1_609_459_200)]
    (warning,) = ref.warnings
    assert warning.startswith("'parent_asin' could be the movie, too; 'asin' is taken")
    assert "--set ingest.columns.movie_id=parent_asin" in warning
    ref, rows = read(path, columns=ColumnNames(movie_id="parent_asin"))
    assert (rows[0][1], ref.warnings) == ("B0", ())


def test_the_name_of_what_an_id_identifies_is_no_doubt(read, write):
    header = "reviewerID,reviewerName,movieId,movie,overall"
    ref, rows = read(write("x.csv", f"{header}\n1,Ann,7,Film,3\n"))
    assert (rows, ref.warnings) == ([("1", "7", 3.0, None)], ())


def test_without_a_header_the_order_is_a_warning_whose_setting_swaps_it(read, write):
    path = write("x.csv", "0005019281,A1QAXY,5.0,1203984000\nB000005XYZ,A3CCXX,2.0,1388361700\n")
    (warning,) = read(path)[0].warnings
    assert warning.endswith("--set ingest.columns.user_id=2 --set ingest.columns.movie_id=1")
    ref, rows = read(path, columns=ColumnNames(user_id="2", movie_id="1"))
    assert [row[:2] for row in rows] == [("A1QAXY", "0005019281"), ("A3CCXX", "B000005XYZ")]
    assert ref.warnings == ()


def test_all_wrong_and_missing_names_are_told_at_once_with_settings_that_work(read, write):
    path = write("x.csv", "wer,was,wie\n1,2,3\n")
    paste = "--set ingest.columns.user_id=wer --set ingest.columns.movie_id=was --set ingest.columns.rating=wie"
    with pytest.raises(DataError, match=rf"as user_id and movie_id and rating; .*, for example {paste}(;|$)"):
        read(path)
    with pytest.raises(DataError, match=rf"rating is 'wi', and no column .* user_id and movie_id; .* example {paste}$"):
        read(path, columns=ColumnNames(rating="wi"))


@pytest.mark.parametrize(("header", "named"), [("date", "date"), ("Timestamp", "Timestamp"), ("note", "''")])
def test_a_wrong_name_of_the_time_is_told_the_right_one_or_to_leave_it_out(header, named, read, write):
    path = write("x.csv", f"user,item,rating,{header}\n1,2,3,5\n")
    with pytest.raises(DataError, match=rf"name its own, for example --set ingest.columns.timestamp={named}$"):
        read(path, columns=ColumnNames(timestamp="when"))
    assert read(path, columns=ColumnNames(timestamp=named.strip("'")))[0].rows == 1


def test_a_name_in_another_case_or_the_number_of_a_column_names_it(read, write):
    path = write("x.csv", "Kunde Nr,was,rating,rating\n1,2,3,4\n")
    with pytest.raises(DataError, match=r"columns 3 and 4 are both named 'rating'; .* --set ingest.columns.rating=3$"):
        read(path, columns=ColumnNames(user_id="kunde_nr", movie_id="WAS"))
    for number, rating in (("3", 3.0), ("4", 4.0)):
        columns = ColumnNames(user_id="kunde_nr", movie_id="WAS", rating=number)
        assert read(path, columns=columns)[1] == [("1", "2", rating, None)]


def test_a_table_without_ratings_is_told_what_it_lacks(read, write):
    with pytest.raises(
        DataError, match=r"no column is recognised as rating; .* add a column rating, such as how often"
    ):
        read(write("x.csv", "user,item,timestamp\n1,2,3\n"))


def test_the_fourth_of_many_columns_is_no_time_once_others_are_named(read, write):
    path = write("x.csv", "1,Ann B.,7,The Film,3\n")
    assert read(path, columns=ColumnNames(user_id="1", movie_id="3", rating="5"))[1] == [("1", "7", 3.0, None)]


@pytest.mark.parametrize(
    ("header", "paste"),
    [
        ("user_id,name,time,rating,text,gmap_id", "--set ingest.columns.movie_id=gmap_id"),
        ("a,b,movie_id,score,x,y", "--set ingest.columns.user_id=a"),
    ],
)
def test_the_example_names_the_likeliest_column(header, paste, read, write):
    with pytest.raises(DataError, match=rf", for example {paste}(;|$)"):
        read(write("x.csv", f"{header}\n1,2,3,4,5,6\n"))


def test_a_wide_table_read_as_a_long_one_is_told_the_layout(read, write):
    path = write("x.csv", "user_id,301,302,303\n1,4,,3\n2,,5,\n")
    with pytest.raises(DataError, match=r"as movie_id and rating; .*if each column is a movie, set ingest.layout ="):
        read(path)
    assert read(path, layout="wide")[1] == [("1", "301", 4.0, None), ("1", "303", 3.0, None), ("2", "302", 5.0, None)]


@remedy_of("cfmodel/data/formats", "no header names the {} columns, too many to guess")
def test_a_wide_table_without_a_header_is_not_taken_for_rows_of_ratings(read, write):
    path = write("x.csv", "7,4,,3,5,1,2,4,3,2\n8,,5,,3,2,4,1,2,3\n")
    with pytest.raises(DataError, match=r"^x.csv: no header names the 10 columns.*--set ingest.layout=wide") as told:
        read(path)
    assert "--set ingest.columns.user_id=1 (or --set ingest.columns.user_id='' if" in str(told.value)
    assert read(path, layout="wide", columns=ColumnNames(user_id="1"))[1][0] == ("7", "2", 4.0, None)
    assert read(path, layout="wide", columns=ColumnNames(user_id=""))[1][0][1:] == ("1", 7.0, None)
    long = write("y.csv", "7,4,3,5,x,x,x,x,x\n")
    named = ColumnNames(user_id="1", movie_id="2", rating="3")
    with pytest.raises(DataError, match=r"for example --set ingest.columns.user_id=1 .*movie_id=2 .*rating=3$"):
        read(long)
    assert read(long, columns=named)[1] == [("7", "4", 3.0, 5)]


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


def test_a_user_beside_titles_may_be_a_wide_table(read, write):
    path = write("x.csv", "user,Alien,Brazil\nann,4,\nben,,2\n")
    with pytest.raises(DataError, match=r"if each column is a movie, set ingest.layout = 'wide'"):
        read(path)
    assert read(path, layout="wide")[1] == [("ann", "Alien", 4.0, None), ("ben", "Brazil", 2.0, None)]
