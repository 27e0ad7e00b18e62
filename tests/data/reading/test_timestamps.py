"""Timestamps of every type and unit."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cfmodel.config import IngestSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.errors import DataError

MOMENT = datetime(2009, 12, 14, 2, 52, 24, tzinfo=UTC)
SECONDS = int(MOMENT.timestamp())


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (f"{SECONDS}", SECONDS),
        (f"{SECONDS}.75", SECONDS + 0.75),
        ("2009-12-14 02:52:24", SECONDS),
        ("2009-12-14T02:52:24.5Z", SECONDS + 0.5),
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
def test_a_parquet_timestamp_of_any_type_is_the_same_moment(moment, expected, read, tmp_path):
    pq.write_table(pa.table({"user": [1], "item": [2], "rating": [3], "time": moment}), tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet")[1] == [("1", "2", 3.0, expected)]


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (f"{SECONDS}000", SECONDS),
        (f"{SECONDS}999", SECONDS + 0.999),
        (f"{SECONDS}000000", SECONDS),
        (f"{SECONDS}000000000", SECONDS),
        (f"{SECONDS},5", SECONDS + 0.5),
        ("1.260759144e9", SECONDS),
        ("2009-12-14 02:52:24 UTC", SECONDS),
        ("2009-12-14T02:52:24.123456789Z", SECONDS + 0.123456789),
        ("2009-12-14 03:52:24+01:00", SECONDS),
        ("2009-12-13T21:52:24-0500", SECONDS),
        ("2009-12-14 02:52:24.500 +0000", SECONDS + 0.5),
        ("2009-12-14T02:52:24Z[UTC]", SECONDS),
        ("2009-12-14t02:52:24z", SECONDS),
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


@pytest.mark.parametrize(("unit", "fraction"), [("ms", 123), ("us", 123_456), ("ns", 123_456_789)])
def test_every_digit_of_a_time_is_kept(unit, fraction, write, tmp_path):
    """As text, as an integer of Parquet and as Arrow's timestamp; a float64 has no room for nanoseconds."""
    per_second = {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    number, expected = SECONDS * per_second + fraction, SECONDS * 10**9 + fraction * 10**9 // per_second
    columns = {"user": [1], "item": [2], "rating": [3.0]}
    pq.write_table(pa.table(columns | {"time": [number]}), tmp_path / "integer.parquet")
    typed = pa.array([number], pa.timestamp(unit, "Asia/Tokyo"))
    pq.write_table(pa.table(columns | {"time": typed}), tmp_path / "typed.parquet")
    write("text.csv", f"1,2,3,{number}\n")
    write("decimal.csv", f"1,2,3,{SECONDS}.{fraction}\n")
    write("iso.csv", f"1,2,3,2009-12-14T02:52:24.{fraction}Z\n")
    for name in ("integer.parquet", "typed.parquet", "text.csv", "decimal.csv", "iso.csv"):
        ref = ingest(str(tmp_path / name), IngestSettings(), folder=tmp_path / "data")
        assert stored_moments(ref) == [expected], name


def test_a_float_is_exact_to_the_microsecond(tmp_path):
    columns = {"user": [1], "item": [2], "rating": [3.0], "time": [SECONDS + 0.123456]}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    ref = ingest(str(tmp_path / "x.parquet"), IngestSettings(), folder=tmp_path)
    assert stored_moments(ref) == [SECONDS * 10**9 + 123_456_000]


def stored_moments(ref):
    return pq.read_table(ref.path / "ratings.parquet")["timestamp"].cast(pa.int64()).to_pylist()


ODD = [
    ("20240131100000", {}, "2611 as milliseconds, but reads as a date", "timestamp_format", "%Y%m%d%H%M%S", 1706695200),
    ("20240131", {}, "1970 as seconds, but reads as a date", "timestamp_format", "%Y%m%d", 1706659200),
    ("2024013110", {}, "2034 as seconds, but reads as a date", "timestamp_format", "%Y%m%d%H", 1706695200),
    ("202401311000", {}, "1976 as milliseconds, but reads as a date", "timestamp_format", "%Y%m%d%H%M", 1706695200),
    (f"{SECONDS}000", {"timestamp_unit": "s"}, "41921 as seconds, and in 2009", "timestamp_unit", "ms", SECONDS),
    (f"{SECONDS}", {"timestamp_unit": "ms"}, "1970 as milliseconds, and in 2009", "timestamp_unit", "s", SECONDS),
    ("4000000000", {}, "2096 as seconds; if that is right", "timestamp_unit", "s", 4_000_000_000),
    ("133500000000000000", {}, "1974 as nanoseconds; if that is right", "timestamp_unit", "ns", 133_500_000),
]


@pytest.mark.parametrize(("moment", "given", "question", "setting", "value", "expected"), ODD)
def test_a_number_that_makes_an_unlikely_year_is_asked_about(
    moment, given, question, setting, value, expected, read, write
):
    """The setting that the question names reads it."""
    path = write("x.csv", f"1,2,3,{moment}\n2,2,3,{moment}\n")
    paste = f"--set ingest.{setting}=" + (f"'{value}'" if "%" in value else value)
    with pytest.raises(DataError, match=rf"timestamp {moment} would be in the year {question}.*{paste}"):
        read(path, **given)
    assert [row[3] for row in read(path, **{setting: value})[1]] == [expected] * 2


def test_small_numbers_that_only_order_the_ratings_are_times(read, write):
    assert [row[3] for row in read(write("x.csv", "1,2,3,1\n1,3,3,2\n1,4,3,0\n1,5,3,-1\n"))[1]] == [1, 2, 0, -1]


def test_one_number_that_reads_as_a_date_among_many_that_do_not_is_a_time(read, write):
    rows = "".join(f"{user},2,3,{20_000_000 + 7919 * user}\n" for user in range(50))
    assert len(read(write("x.csv", rows))[1]) == 50


@pytest.mark.parametrize("moment", ["2567-12-14 10:00", "/Date(1260759144000)/", "14. März 2009"])
def test_no_format_is_asked_for_where_none_may_fit(moment, read, write):
    with pytest.raises(DataError, match=r"no usual format fits it: .* leave timestamps out") as told:
        read(write("x.csv", f"user,item,rating,time\n1,2,3,{moment}\n"))
    assert "--set ingest.timestamp_format" not in str(told.value)
