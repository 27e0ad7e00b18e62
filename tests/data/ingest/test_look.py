"""The look at a source before anything starts."""

import pytest

from cfmodel.config import ColumnNames, IngestSettings, SplitSettings
from cfmodel.data.ingest.look import look
from cfmodel.errors import CFModelError, DataError


def glance(path, split=None, **settings):
    return look(str(path), IngestSettings(**settings), split or SplitSettings())


def test_a_look_says_what_a_source_is_taken_for_and_writes_nothing(write, tmp_path):
    path = write("x.csv", "0005,A1,5.0,1203984000\n")
    seen = glance(path)
    assert seen.read_as.startswith("read as: no header; column 1 user, 2 movie, 3 rating, 4 seconds; utf-8, comma")
    assert len(seen.doubts) == 1
    assert [each.name for each in tmp_path.iterdir()] == ["x.csv"]


@pytest.mark.parametrize("source", ["synthetic", "ml-1m", "memory://somewhere/x.csv"])
def test_what_is_not_on_this_disk_is_not_fetched(source):
    assert glance(source).read_as == ""


def test_all_problems_of_rows_are_told_at_once_even_those_in_one_row(write):
    rows = "".join(f"{user},2,x,17.11.2015\n" for user in range(5)) + ",2,3,17.11.2015\n"
    with pytest.raises(DataError) as refused:
        glance(write("x.csv", f"user,item,rating,date\n{rows}"))
    told = str(refused.value).splitlines()
    assert [line.partition(" is ")[0] for line in told] == [
        "x.csv, row 1: rating 'x'",
        "x.csv, row 1: timestamp '17.11.2015'",
        "x.csv, row 6: user_id",
    ]
    assert "--set ingest.timestamp_format='%d.%m.%Y'" in told[1]
    # Setting rows aside would leave nothing, so it is not advised.
    assert "quarantine" not in str(refused.value)


def test_all_files_are_looked_at(write):
    write("set/a.csv", "user,thing,x,rating\n1,2,3,4\n")
    write("set/b.csv", "user,item,rating\n1,2,3\n")
    path = write("set/c.csv", "a,b,c\nd,e,f\n")
    with pytest.raises(DataError, match=r"(?s)^a.csv: no column is recognised as movie_id.*\nc.csv: no column is"):
        glance(path.parent)


def test_both_sources_and_missing_times_are_told_together(write):
    path = write("x.csv", "user,item,rating\n1,2,3\n")
    with pytest.raises(CFModelError, match=r"(?s)columns.rating is 'y'.*\n.*absent.csv: no such file"):
        glance(
            path,
            SplitSettings(strategy="predefined", test_source="absent.csv"),
            columns=ColumnNames(rating="y"),
        )
    with pytest.raises(DataError, match=r"x.csv: split.strategy = 'temporal' needs timestamps, .* 'random', or name"):
        glance(path, SplitSettings(strategy="temporal"))


def test_rows_that_will_be_set_aside_do_not_stop_the_look(write):
    path = write("x.csv", "1,2,3\n1,3,x\n")
    with pytest.raises(DataError, match=r"quarantine' and ingest.max_bad_fraction = 0.5$"):
        glance(path)
    assert glance(path, on_bad_row="quarantine", max_bad_fraction=0.5).read_as
    with pytest.raises(DataError, match=r"row 1: rating 'x' .*; correct the file, all 2 rows read so far are bad"):
        glance(write("y.csv", "1,2,x\n1,3,x\n"), on_bad_row="quarantine", max_bad_fraction=1)
