"""Parsing of numbers."""

import pytest

from cfmodel.errors import DataError


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


def test_a_comma_that_may_group_thousands_needs_a_setting(read, write):
    path = write("x.csv", "user;item;rating\n1;1;1,234\n")
    with pytest.raises(
        DataError, match=r"rating '1,234' is not a number \(if the comma groups thousands, set ingest.decimal\)"
    ):
        read(path)
    assert read(path, decimal=",")[1][0][2] == 1.234
    with pytest.raises(DataError, match=r"rating '3.5' is not a number"):
        read(write("y.csv", "user;item;rating\n1;1;3.5\n"), decimal=",")
