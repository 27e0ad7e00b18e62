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
    with pytest.raises(DataError, match=r"rating '1,234' is not a number \(set ingest.decimal to .*, ',' or '.'\)"):
        read(path)
    assert read(path, decimal=",")[1][0][2] == 1.234
    assert read(path, decimal=".")[1][0][2] == 1234.0


def test_advice_on_the_decimal_mark_works_and_never_leads_back(read, write):
    path = write("x.csv", "user;item;rating\n1;1;3.5\n2;2;4,5\n")
    for mark in (",", "."):
        with pytest.raises(DataError, match=r"is not a number \(leave ingest.decimal out, so that both"):
            read(path, decimal=mark)
    assert [row[2] for row in read(path)[1]] == [3.5, 4.5]


@pytest.mark.parametrize(
    ("mark", "texts", "ratings"),
    [
        (",", ["1.234,5", "3,5", "12", "-1.234.567,25", "1.234"], [1234.5, 3.5, 12.0, -1_234_567.25, 1234.0]),
        (".", ["1,234.5", "3.5", "12", "+1,234,567", ".5"], [1234.5, 3.5, 12.0, 1_234_567.0, 0.5]),
        (",", ["1 234,5", "1\u202f234", "1'234,75"], [1234.5, 1234.0, 1234.75]),
    ],
)
def test_thousands_may_be_grouped_once_the_decimal_mark_is_set(mark, texts, ratings, read, write):
    path = write("x.csv", "user;item;rating\n" + "".join(f"{at};1;{text}\n" for at, text in enumerate(texts)))
    with pytest.raises(DataError, match=rf"is not a number \(set ingest.decimal to its decimal mark, '\{mark}'\)"):
        read(path)
    assert [row[2] for row in read(path, decimal=mark)[1]] == ratings


@pytest.mark.parametrize("text", ["1.23,5", "12.34.567", "1,234,5", "1.234 567"])
def test_what_is_no_group_of_thousands_is_no_number(text, read, write):
    with pytest.raises(DataError, match="is not a number"):
        read(write("x.csv", f"user;item;rating\n1;1;{text}\n"), decimal=",")


def test_digits_of_any_script_percent_and_truth_are_numbers(read, write):
    texts = ["\uff14", "\u0665", "\uff14.\uff15", "85%", "True", "false"]
    rows = "".join(f"1\t{place}\t{text}\n" for place, text in enumerate(texts))
    assert [row[2] for row in read(write("x.tsv", rows))[1]] == [4.0, 5.0, 4.5, 85.0, 1.0, 0.0]
