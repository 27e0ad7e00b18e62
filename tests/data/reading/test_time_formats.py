"""Formats of times: read by a setting, and proposed for a time that is not read without one."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cfmodel.config import IngestSettings
from cfmodel.data.reading.time_formats import propose_formats, read_as_dates
from cfmodel.errors import ConfigError, DataError

SECONDS = 1_447_789_055  # 2015-11-17 19:37:35 UTC

WRITTEN = [
    ("17.11.2015 19:37:35", "%d.%m.%Y %H:%M:%S"),
    ("Tue Nov 17 11:37:35 -0800 2015", "%a %b %d %H:%M:%S %z %Y"),
    ("Tue, 17 Nov 2015 19:37:35 GMT", "%a, %d %b %Y %H:%M:%S GMT"),
    ("20151117193735", "%Y%m%d%H%M%S"),
    ("11/17/2015 07:37:35 PM", "%m/%d/%Y %I:%M:%S %p"),
    ("17/Nov/2015:19:37:35 +0000", "%d/%b/%Y:%H:%M:%S %z"),
    ("17-NOV-15 07.37.35.000000 PM", "%d-%b-%y %I.%M.%S.%f %p"),
    ("2015-11-17 19:37:35.000 Z", "%Y-%m-%d %H:%M:%S.%f %z"),
]


@pytest.mark.parametrize(("written", "format"), WRITTEN)
def test_a_time_in_another_form_is_refused_with_a_format_that_reads_it(written, format, read, write):
    path = write("x.tsv", f"user\titem\trating\ttime\n1\t2\t3\t{written}\n2\t2\t4\t{written}\n")
    with pytest.raises(DataError, match=rf"--set ingest.timestamp_format='{re.escape(format)}'"):
        read(path)
    assert [row[3] for row in read(path, timestamp_format=format)[1]] == [SECONDS, SECONDS]


def test_the_fraction_of_a_second_is_read_by_a_format(read, write):
    path = write("x.csv", "1,2,3,17.11.2015 19:37:35.25\n")
    assert read(path, timestamp_format="%d.%m.%Y %H:%M:%S.%f")[1][0][3] == SECONDS + 0.25


@pytest.mark.parametrize("type", [pa.int64(), pa.float64(), pa.decimal128(38, 0), pa.string()])
def test_a_format_reads_numbers_of_any_type(type, read, tmp_path):
    moments = pa.array([20151117193735]).cast(type)
    pq.write_table(pa.table({"user": [1], "item": [2], "rating": [3], "time": moments}), tmp_path / "x.parquet")
    assert read(tmp_path / "x.parquet", timestamp_format="%Y%m%d%H%M%S")[1][0][3] == SECONDS


def test_the_other_times_decide_between_day_and_month(read, write):
    either = write("x.csv", "1,2,3,03/04/2015\n2,2,3,01/02/2015\n")
    with pytest.raises(DataError, match=r"'%d/%m/%Y' or --set ingest.timestamp_format='%m/%d/%Y' \(day or month"):
        read(either)
    assert propose_formats("03/04/2015", ["03/04/2015", "12/31/2015"]) == ["%m/%d/%Y"]


def test_a_time_that_does_not_fit_the_format_is_a_bad_row(read, write):
    path = write("x.csv", "1,2,3,17.11.2015\n2,2,3,2015-11-17\n3,2,3,17.11.0001\n")
    with pytest.raises(DataError, match=r"row 2: timestamp '2015-11-17' does not fit ingest.timestamp_format, '%d.%m"):
        read(path, timestamp_format="%d.%m.%Y")
    kept = read(path, timestamp_format="%d.%m.%Y", on_bad_row="quarantine", max_bad_fraction=1)[1]
    assert [row[0] for row in kept] == ["1"]


@pytest.mark.parametrize("format", ["%H:%M", "%Q", "today"])
def test_a_format_that_gives_no_day_is_refused(format):
    with pytest.raises(ValueError, match=r"timestamp_format\n.*such as|example"):
        IngestSettings(timestamp_format=format)


def test_a_format_and_a_unit_exclude_each_other():
    from cfmodel.config import PipelineSettings

    with pytest.raises(ConfigError, match="exclude each other; set one of them"):
        PipelineSettings.of(overrides={"ingest.timestamp_format": "%Y%m%d", "ingest.timestamp_unit": "s"})


def test_only_numbers_that_are_days_of_a_calendar_read_as_dates():
    numbers = np.array([20240131, 20241301, 20240100, 2024013123, 2024013124, 1_447_789_055, 7])
    assert read_as_dates(numbers).tolist() == [True, False, False, True, False, False, False]
