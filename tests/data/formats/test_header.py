"""The start of delimited text: separator, header, comments and blank lines."""

import pytest

from cfmodel.config import ColumnNames
from cfmodel.errors import DataError


def test_separator_and_header_can_be_set(read, write):
    path = write("x.txt", "7~~8~~3\n9~~8~~4\n")
    assert len(read(path, separator="~~")[1]) == 2
    numbers = ColumnNames(user_id="7", movie_id="8", rating="3")
    assert read(path, separator="~~", header=True, columns=numbers)[1] == [("9", "8", 4.0, None)]


ROWS = [("josé", "Amélie", 3.5, 1), ("zoë", "Amélie", 4.0, 2), ("naïf", "8½", 2.0, 3)]
HEAD = "userId,movieId,rating,timestamp\n"
TEXT = HEAD + "".join(",".join(map(str, row)) + "\n" for row in ROWS)


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
def test_blank_lines_and_comments_are_not_rows(text, read, write):
    ref, rows = read(write("x.csv", text))
    assert rows == ROWS
    assert ref.accounts.rows_in == 3


def test_a_comment_that_may_be_a_row_is_not_skipped(read, write):
    assert [row[0] for row in read(write("x.csv", "#7,1,3\n8,1,3\n#9,1,4\n"))[1]] == ["#7", "8", "#9"]
    with pytest.raises(DataError, match=r"row 2: rating 'or not' is not a number"):
        read(write("y.csv", "8,1,3\n# one, two,or not\n"))


@pytest.mark.parametrize(
    ("first", "separator"), [("sep=;", ";"), ("SEP=;", ";"), ('"sep=,"', ","), ("sep=\t", "\t"), ("sep=;;;", ";")]
)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_excels_first_line_names_the_separator_and_is_no_row(first, separator, mark, read, write):
    rows = ["user,movie,rating,when", "7,a,3.5,2024-01-31 10:00", "8,b,4,2024-02-01 11:30"]
    text = "\r\n".join([first, *(row.replace(",", separator) for row in rows)]) + "\r\n"
    path = write("x.csv", mark + text.replace("when", "date"))
    expected = [("7", "a", 3.5, 1_706_695_200), ("8", "b", 4.0, 1_706_787_000)]
    assert read(path)[1] == expected
    assert read(path, separator=separator)[1] == expected


@pytest.mark.parametrize("separator", [None, " "])
@pytest.mark.parametrize(
    "text",
    [
        "     7     a  3.5\n  1008     b  4\n",
        "7 a 3.5\n1008 b 4\n",
        "user   movie rating\n7      a       3.5\n1008   b       4  \n",
        "7\t a  3.5 \n\n1008 \tb\t4\n   \n",
    ],
)
def test_runs_of_blanks_are_one_separator(text, separator, read, write):
    ref, rows = read(write("x.txt", text), separator=separator)
    assert rows == [("7", "a", 3.5, None), ("1008", "b", 4.0, None)]
    assert ref.accounts.rows_in == 2


def test_in_columns_of_blanks_quotes_keep_a_blank(read, write):
    path = write("x.txt", '"user" "movie" "rating"\n"a ""b""" \'c 3\n"" "d e" 4\nf" "g 5\n')
    ref, rows = read(path, on_bad_row="quarantine", max_bad_fraction=1)
    assert rows == [('a "b"', "'c", 3.0, None), ('f"', '"g', 5.0, None)]
    assert ref.accounts.quarantined == 1


SENTENCES = "This is a text\nof many words in\nlines, and 3 numbers 4 5\n"


def test_words_of_a_sentence_are_no_columns(read, write):
    with pytest.raises(DataError, match=r"no known separator splits the first row"):
        read(write("x.txt", SENTENCES))


R_TABLE = '"user","movie","rating"\n"1",9,"a",4\n"2",8,"b",3\n"3",8,"a",5\n'


@pytest.mark.parametrize(
    "text",
    [
        R_TABLE,
        R_TABLE.replace('"1"', '"row 17"'),
        R_TABLE.replace(",", " "),
        R_TABLE.replace(",", ";"),
        R_TABLE.replace('"', "").replace(",", "\t"),
        R_TABLE.replace('"user"', '"","user"', 1),
    ],
)
def test_a_first_field_without_a_name_holds_the_names_of_rows(text, read, write):
    """As R writes them: by default the header has one field less than the rows."""
    assert read(write("x.csv", text))[1] == [("9", "a", 4.0, None), ("8", "b", 3.0, None), ("8", "a", 5.0, None)]


def test_names_of_the_rows_of_a_wide_table_are_its_users(read, write):
    path = write("x.csv", '"a","b"\n"u1",1,2\n"u2",3,4\n')
    assert read(path, layout="wide")[1][::3] == [("u1", "a", 1.0, None), ("u2", "b", 4.0, None)]


@pytest.mark.parametrize(
    ("row", "mended"),
    [
        ("1,2,4,5", '1,2,"4,5"'),
        ('"ann",2,4,5', '"ann",2,"4,5"'),
        ("1,Matrix, The,4", '1,"Matrix, The",4'),
        ("1,2", "1,2,3"),
    ],
)
def test_a_header_that_fits_no_row_is_refused_once_and_the_remedy_works(row, mended, read, write):
    """Whatever is done with bad rows: a decimal comma, a comma in a title, a column that is not there."""
    path = write("x.csv", f"user,movie,rating\n{row}\n")
    for policy in ("stop", "quarantine"):
        with pytest.raises(
            DataError,
            match=r"^x.csv: the header 'user,movie,rating' names 3 columns, and the rows have \d fields: .* quotes",
        ):
            read(path, on_bad_row=policy, max_bad_fraction=1)
    assert len(read(write("y.csv", f"user,movie,rating\n{mended}\n"))[1]) == 1


@pytest.mark.parametrize("end", [",", ",,,", ", ,"])
@pytest.mark.parametrize(("header", "above"), [("", False), ("user,movie,rating", False), ("user,movie,rating", True)])
def test_a_separator_at_the_end_of_each_row_makes_no_column(end, header, above, read, write):
    head = f"{header}{end if above else ''}\n" if header else ""
    path = write("x.csv", f"{head}7,a,3.5{end}\n8,b,4{end}\n")
    assert read(path)[1] == [("7", "a", 3.5, None), ("8", "b", 4.0, None)]


@pytest.mark.parametrize("separator", ["||", "\t\t", ",,", ";;"])
def test_a_doubled_separator_makes_no_column(separator, read, write):
    assert read(write("x.csv", f"7{separator}a{separator}3.5\n"))[1] == [("7", "a", 3.5, None)]
    path = write("y.csv", f"user{separator}movie{separator}rating\n7{separator}a{separator}3.5\n")
    assert read(path)[1] == [("7", "a", 3.5, None)]


def test_a_movie_that_is_first_rated_far_down_a_wide_table_is_kept(read, write):
    path = write("x.csv", "".join(f"{user},3,\n" for user in range(200)) + "200,,5\n")
    rows = read(path, layout="wide", columns=ColumnNames(user_id="1"))[1]
    assert rows[-1] == ("200", "3", 5.0, None)


def test_a_separator_at_the_end_of_the_header_alone_makes_no_column(read, write):
    assert read(write("x.csv", "user,movie,rating,\n7,a,3.5\n"))[1] == [("7", "a", 3.5, None)]
    path = write("y.csv", "user,a,b,\nu,1,2,\n")
    assert read(path, layout="wide")[1] == [("u", "a", 1.0, None), ("u", "b", 2.0, None)]


def test_advice_on_the_separator_does_not_lead_back(read, write):
    path = write("x.csv", "7~a~3\n8~b~4\n")
    with pytest.raises(DataError, match=r"no known separator .* set ingest.separator"):
        read(path)
    assert len(read(path, separator="~")[1]) == 2
    with pytest.raises(DataError, match=r"ingest.separator = ';' cuts the first row into 1 field\(s\), not"):
        read(path, separator=";")
    with pytest.raises(DataError, match=r"rows have two fields, not user, movie and rating: .* add the rating"):
        read(write("y.csv", "user,movie\n7,a\n"))


def test_fields_may_be_cut_by_a_control_character_as_hive_does(read, write):
    path = write("x.txt", '7\x01a\x013.5\n8\x01"b\x01"\x014\n9\x01\\N\x011\n')
    ref, rows = read(path, on_bad_row="quarantine", max_bad_fraction=1)
    assert rows == [("7", "a", 3.5, None), ("8", "b\x01", 4.0, None)]
    assert ref.accounts.quarantined == 1


@pytest.mark.parametrize(
    "text",
    [
        " user | movie | rating \n------+---+---\n   7 | a |  3.5\n   8 | b |    4\n(2 rows)\n\n",
        "+---+---+---+\n| user | movie | rating |\n+---+---+---+\n| 7 | a | 3.5 |\n| 8 | b | 4 |\n+---+---+---+\n",
        "| user | movie | rating |\n|-----:|:-----:|-------:|\n| 7 | a | 3.5 |\n| 8 | b | 4 |\n",
        "user,movie,rating\n----,-----,------\n7,a,3.5\n8,b,4\n\n2 rows selected.\n",
        "user movie rating\n---- ----- ------\n   7 a        3.5\n   8 b          4\n\n(2 rows affected)\n",
        'user,movie,rating\n7,a,3.5\n,,\n8,b,4\n , "",\n,,\n',
        "user;movie;rating;;\n7;a;3.5;;\n8;b;4;;\n;;;;\n\x1a",
    ],
)
def test_lines_that_are_drawn_or_empty_are_no_rows(text, read, write):
    """The tables of psql, mysql, Markdown and sqlcmd; the empty rows of a sheet, and the last byte of a DOS file."""
    ref, rows = read(write("x.csv", text))
    assert rows == [("7", "a", 3.5, None), ("8", "b", 4.0, None)]
    assert ref.accounts.rows_in == 2


@pytest.mark.parametrize("rows", ["user,movie,rating\n7,a,3\n8,b,4\n", "7;a;3\n8;b;4\n"])
@pytest.mark.parametrize("set_it", [False, True])
def test_lines_above_a_table_are_refused_and_the_remedy_works(rows, set_it, read, write):
    separator = (";" if ";" in rows else ",") if set_it else None
    above = ["Ratings of 2026", "", "Exported: 2026-01-31"]
    with pytest.raises(
        DataError, match=r"2 line\(s\) above the table are no rows, first 'Ratings .* begin each with #"
    ):
        read(write("x.csv", "\n".join([*above, rows])), separator=separator)
    mended = "\n".join([*(f"# {line}" for line in above), rows])
    assert len(read(write("y.csv", mended), separator=separator)[1]) == 2


def test_rows_in_quotes_as_a_whole_and_fields_in_single_quotes_are_named(read, write):
    with pytest.raises(DataError, match=r"each row is in quotes as a whole: .* remove the quotes around the rows"):
        read(write("x.csv", '"user,movie,rating"\n"7,a,3"\n'))
    with pytest.raises(DataError, match=r"fields are in single quotes: .* write double quotes, or none"):
        read(write("x.csv", "'user','movie','rating'\n'7','a',3\n"))


def test_comments_of_a_graph_are_no_rows(read, write):
    """As KONECT writes them, with as many fields as the rows."""
    _, rows = read(write("out.x", "% bip weighted\n% 2 400 400\n7 a 3.5 9\n8 b 4 9\n"))
    assert rows == [("7", "a", 3.5, 9), ("8", "b", 4.0, 9)]
    assert [row[0] for row in read(write("x.csv", "%7,a,3\n8,b,4\n"))[1]] == ["%7", "8"]


def test_a_user_above_numbers_is_the_header_of_a_wide_table(read, write):
    path = write("x.csv", "user_id,301,302\n7,3.5,\n8,,4\n")
    with pytest.raises(DataError, match=r"no column is recognised .* if each column is a movie, set ingest.layout"):
        read(path)
    assert read(path, layout="wide")[1] == [("7", "301", 3.5, None), ("8", "302", 4.0, None)]


def test_the_pages_of_a_drawn_table_have_one_header(read, write):
    page = "user  movie rating\n----- ----- ------\n{}\n\n"
    ref, rows = read(write("x.txt", page.format("7     a        3.5") + page.format("8     b          4")))
    assert rows == [("7", "a", 3.5, None), ("8", "b", 4.0, None)]
    assert ref.accounts.rows_in == 2


def test_lines_above_a_table_that_are_as_wide_are_no_rows(read, write):
    title, table = "Ratings report,,,\nmade on Monday,,,\n", "User ID,Movie ID,Rating,Time\n7,a,3,1\n8,a,4,2\n"
    with pytest.raises(
        DataError, match=r"x.csv: 2 line\(s\) above the table .*, first 'Ratings report,,,'; remove them"
    ):
        read(write("x.csv", f"{title},,,\n{table}"))
    assert read(write("y.csv", f",,,\n{table}"))[1] == [("7", "a", 3.0, 1), ("8", "a", 4.0, 2)]
    assert len(read(write("z.csv", f"#{title.replace('made', '#made')},,,\n{table}"))[1]) == 2
