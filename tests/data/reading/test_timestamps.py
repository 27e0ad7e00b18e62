"""Timestamps of every type and unit."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cfmodel.errors import DataError

MOMENT = datetime(2009, 12, 14, 2, 52, 24, tzinfo=UTC)
SECONDS = int(MOMENT.timestamp())


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (f"{SECONDS}", SECONDS),
        (f"{SECONDS}.75", SECONDS),
        ("2009-12-14 02:52:24", SECONDS),
        ("2009-12-14T02:52:24.5Z", SECONDS),
        ("2009-12-14T03:52:24+01:00", SECONDS),
        ("2009-12-14", SECONDS // 86400 * 86400),
        ("-86400", -86400),
    ],
)
def test_a_timestamp_is_seconds_or_iso_text(moment, expected, read, write):
    assert read(write("x.csv", f"user,item,rating,time\n1,2,3,{moment}\n"))[1] == [("1", "2", 3.0, expected)]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (pa.array([MOMENT], pa.timestamp("ns", "Europe/Berlin")), SECONDS),
        (pa.array([MOMENT.replace(tzinfo=None)], pa.timestamp("ms")), SECONDS),
        (pa.array([date(2009, 12, 14)]), SECONDS // 86400 * 86400),
        (pa.array([float(SECONDS)]), SECONDS),
        (pa.array([None], pa.null()), None),
    ],
)
def test_a_parquet_timestamp_of_any_type_becomes_seconds(moment, expected, read, tmp_path):
    pq.write_table(pa.table({"user": [1], "item": [2], "rating": [3], "time": moment}), tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet")[1] == [("1", "2", 3.0, expected)]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (f"{SECONDS}000", SECONDS),
        (f"{SECONDS}999", SECONDS),
        (f"{SECONDS}000000", SECONDS),
        (f"{SECONDS}000000000", SECONDS),
        (f"{SECONDS},5", SECONDS),
        ("1.260759144e9", SECONDS),
        ("2009-12-14 02:52:24 UTC", SECONDS),
        ("2009-12-14T02:52:24.123456789Z", SECONDS),
        ("2009-12-14 03:52:24+01:00", SECONDS),
        ("2009-12-13T21:52:24-0500", SECONDS),
        ("2009-12-14T02:52", SECONDS - 24),
        ("1969-12-31 23:59:59", -1),
    ],
)
def test_a_time_is_a_number_of_any_unit_or_iso_8601_with_or_without_zone(moment, expected, read, write):
    """Alone and beside another form in the same column."""
    assert read(write("x.csv", f'user,item,rating,time\n1,2,3,"{moment}"\n'))[1][0][3] == expected
    mixed = f'user,item,rating,time\n1,2,3,"{moment}"\n2,2,3,{SECONDS}\n3,2,3,2009-12-14T02:52:24Z\n4,2,3,2009-12-14\n'
    assert [row[3] for row in read(write("y.csv", mixed))[1]] == [expected, SECONDS, SECONDS, SECONDS // 86400 * 86400]


@pytest.mark.parametrize(
    "moment", ["2009-02-30", "14.12.2009", "2009-12-14T25:00", "1e30", "99999999999999999999", "inf"]
)
def test_an_invalid_time_is_refused(moment, read, write):
    with pytest.raises(DataError, match=r"timestamp .* is not a time in seconds or ISO 8601"):
        read(write("x.csv", f"user,item,rating,time\n1,2,3,{moment}\n"))


def test_the_unit_of_a_timestamp_can_be_set(read, write):
    path = write("x.csv", "user,item,rating,time\n1,2,3,5000\n")
    assert read(path, timestamp_unit="ms")[1][0][3] == 5
