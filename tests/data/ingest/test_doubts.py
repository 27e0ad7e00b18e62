"""Marks that spreadsheets and programs leave in ids, ratings and times."""

import re

import pytest

from cfmodel.errors import DataError

HEAD = "user,item,rating,timestamp\n"


@pytest.mark.parametrize(
    ("row", "warning"),
    [
        ('7,"=""0439""",3,1', 'the movie ="0439" is a formula of Excel'),
        ("7,9.78E+12,3,1", r"the movie 9.78E\+12 is a number that a spreadsheet shortened"),
        ('7,"9,78E+12",3,1', "the movie 9,78E"),
        ("7.0,b,3,1", r"the users 7 and 7.0 are two, and probably one .*\(1 such users\)"),
    ],
)
def test_an_id_that_a_program_changed_is_a_warning(row, warning, read, write):
    write("set/a.csv", HEAD + "7,a,3,1\n8,a,3,1\n")
    ref, _ = read(write("set/b.csv", f"{HEAD}{row}\n").parent)
    assert len(ref.warnings) == 1
    assert re.match(warning, ref.warnings[0])


def test_ids_that_only_look_so_are_none(read, write):
    rows = "7.0,1E5,3,1\n8.0,=x,3,1\nv1.0,12E+,3,1\n7.5,E+12,3,1\n"
    assert read(write("x.csv", HEAD + rows))[0].warnings == ()


@pytest.mark.parametrize(
    ("times", "meaning"),
    [(("1999", "2023"), "may be years"), (("45292.5", "45300"), "may be a spreadsheet's days"), (("1", "2"), None)],
)
def test_years_and_days_in_place_of_seconds_are_a_warning(times, meaning, read, write):
    ref, rows = read(write("x.csv", HEAD + "".join(f"{at},a,3,{time}\n" for at, time in enumerate(times))))
    assert [meaning in warning for warning in ref.warnings] == [True] * bool(meaning)
    assert rows[0][3] < rows[1][3]


def test_a_slip_far_above_the_scale_is_found_by_following_the_warning(read, write):
    rows = "".join(f"{at % 60},{at // 60},{(at % 10 + 1) / 2}\n" for at in range(1200))
    path = write("x.csv", f"user,item,rating\n{rows}70,1,50\n")
    (warning,) = read(path)[0].warnings
    assert warning.endswith("--set ingest.rating_range='[0.5, 5]'")
    with pytest.raises(DataError, match=r"row 1,201: rating 50.0 is outside"):
        read(path, rating_range=(0.5, 5))
    assert read(write("y.csv", f"user,item,rating\n{rows}70,1,7\n"))[0].warnings == ()
