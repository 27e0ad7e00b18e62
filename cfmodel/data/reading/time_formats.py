"""Times in other forms than numbers and ISO 8601: read them by `ingest.timestamp_format`, and propose a format."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cfmodel.data.reading.parse_values import Integers

_DAYS = (
    *("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y %m %d"),
    *("%d %b %Y", "%d %B %Y", "%b %d %Y", "%B %d %Y", "%b %d, %Y", "%B %d, %Y", "%d %b, %Y", "%d %B, %Y"),
    *("%d-%b-%Y", "%d/%b/%Y", "%d. %B %Y", "%m %d, %Y", "%d-%b-%y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y"),
)
_TIMES = ("", "%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%H:%M:%S %z", "%I:%M %p", "%I:%M:%S %p", "%H:%M %z", "%H.%M")
_WHOLE = (
    *("%Y%m%d", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S", "%Y%m%d%H%M%S%f"),
    *("%Y%m%d %H%M%S", "%Y%m%d %H:%M:%S", "%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %I:%M %p", "%Y-%m-%d %H:%M:%S %z"),
    *("%a %b %d %H:%M:%S %z %Y", "%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S %z", "%a, %d %b %Y %H:%M:%S GMT"),
    *("%a %b %d %H:%M:%S UTC %Y", "%a %b %d %H:%M:%S GMT %Y", "%d/%b/%Y:%H:%M:%S %z", "%Y-%m-%d_%H:%M:%S"),
    # Snowflake, Oracle, SQL Server
    *("%Y-%m-%d %H:%M:%S.%f %z", "%d-%b-%y %I.%M.%S.%f %p", "%d-%b-%y %I.%M.%S %p", "%b %d %Y %I:%M%p"),
)
#: Text that stands between a day and a time.
_BETWEEN = (" ", ", ", " - ", "T")
FORMATS = (*_WHOLE, *_DAYS, *(f"{day}{mark}{time}" for day in _DAYS for time in _TIMES[1:] for mark in _BETWEEN))
#: Formats of numbers such as 20240131 by their number of digits.
_OF_DIGITS = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S", 17: "%Y%m%d%H%M%S%f"}
#: Most values that a proposed format is tried on.
_MOST_SAMPLES = 200


def parse_by_format(texts: pa.StringArray, format: str) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Return texts as nanoseconds since 1970-01-01 UTC, and which of them fit the format and the years 1678 to 2261.

    A text without a time zone is UTC.
    """
    import pandas as pd  # takes half a second, which most sources do not need

    found = pd.to_datetime(pd.Series(texts.to_pylist(), dtype=object), format=format, errors="coerce", utc=True)
    fits = found.between(pd.Timestamp.min.tz_localize("UTC"), pd.Timestamp.max.tz_localize("UTC")).to_numpy(np.bool_)
    nanoseconds = found.where(fits, pd.Timestamp(0, tz="UTC")).dt.as_unit("ns").astype(np.int64)
    return np.asarray(nanoseconds, np.int64), np.asarray(fits, np.bool_)


def fits_format(text: str, format: str) -> bool:
    """Return whether a text is a time in a format."""
    try:
        return 1900 <= datetime.strptime(text, format).year < 2100
    except ValueError:
        return False


def propose_formats(text: str, others: Sequence[str]) -> list[str]:
    """Return the formats that fit a text and as many others as possible; two if day and month could be either."""
    fitting = [format for format in FORMATS if fits_format(text, format)]
    samples = others[:_MOST_SAMPLES]
    counts = [sum(fits_format(other, format) for other in samples) for format in fitting]
    return [format for format, count in zip(fitting, counts, strict=True) if count == max(counts)][:2]


def format_of_digits(number: int) -> str | None:
    """Return the format of a number that reads as a date, such as 20240131 or 20240131100000; None for others."""
    format = _OF_DIGITS.get(len(str(number)))
    return format if format is not None and fits_format(str(number), format) else None


def read_as_dates(numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which whole numbers of 8 or 10 digits read as dates, `YYYYMMDD` or `YYYYMMDDHH`, from 1900 to 2099."""
    days, hours = np.divmod(numbers, 100)
    days, hours = np.where(numbers < 10**9, numbers, days), np.where(numbers < 10**9, 0, hours)
    month, day = days // 100 % 100, days % 100
    in_range = (days >= 1900_01_01) & (days < 2100_01_01) & (hours < 24)
    dates: npt.NDArray[np.bool_] = in_range & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    return dates
