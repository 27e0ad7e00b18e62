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
