"""Parsing of single numbers and timestamps, for columns that Arrow cannot cast as a whole."""

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)", re.ASCII | re.IGNORECASE)
_COMMA = re.compile(r"([+-]?\d*),(\d+)", re.ASCII)
#: Thousands in groups, by the decimal mark.
_GROUPED = {
    ",": re.compile(r"[+-]?\d{1,3}(?:([. '’\u00a0\u202f])\d{3})(?:\1\d{3})*(?:,\d*)?", re.ASCII),
    ".": re.compile(r"[+-]?\d{1,3}(?:([, '’\u00a0\u202f])\d{3})(?:\1\d{3})*(?:\.\d*)?", re.ASCII),
}
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_ZONE = re.compile(r"\s*(UTC|GMT)$", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST = 2**63 - 1  # its negative also has an absolute value that fits into int64
#: The years 1 to 9999 in seconds since 1970-01-01 UTC.
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
#: Numbers from this size on are in the next finer unit. As seconds, 100 billion would be after the year
#: 5000; as milliseconds, it is in 1973.
_FINER_FROM = (100_000_000_000, 100_000_000_000_000, 100_000_000_000_000_000)


def parse_number(text: str, decimal: str | None) -> float | None:
    """Return a text's number, None if it is not one.

    Args:
        text: The text, without blanks around it.
        decimal: The decimal mark, `.` or `,`; the other one, a blank or an apostrophe may group thousands,
            as in `1.234,5`. None allows both marks and no groups: `1,234` is not a number then, since the
            comma may group thousands; `0,234` is.
    """
    if decimal is not None and _GROUPED[decimal].fullmatch(text):
        whole, _, decimals = text.partition(decimal)
        return float("".join(digit for digit in whole if digit.isdecimal() or digit in "+-") + f".{decimals}0")
    if decimal != "," and _NUMBER.fullmatch(text):
        return float(text)
    if decimal == "." or not (parts := _COMMA.fullmatch(text)):
        return float(text) if decimal == "," and _WHOLE.fullmatch(text) else None
    whole, decimals = parts.groups()
    if decimal is None and len(decimals) == 3 and whole.lstrip("+-0"):
        return None
    return float(f"{whole}.{decimals}")


def parse_timestamp(text: str, unit: str | None) -> int | None:
    """Return a text's time in seconds since 1970-01-01 UTC, None if it is not a time.

    Args:
        text: A number or ISO 8601, without blanks around it; without a time zone it is UTC.
        unit: Unit of a number; None: by its size.
    """
    if _WHOLE.fullmatch(text):
        return int(to_seconds(np.array([int(text)]), unit)[0])
    if (value := parse_number(text, None)) is not None:
        return int(to_seconds(np.array([value]), unit)[0]) if abs(value) < 2.0**62 else None
    try:
        found = datetime.fromisoformat(_ZONE.sub("", text.replace(",", ".")))
        aware = found if found.tzinfo else found.replace(tzinfo=UTC)
        return (aware - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError):
        return None


def to_seconds(numbers: npt.NDArray[np.int64] | npt.NDArray[np.float64], unit: str | None) -> npt.NDArray[np.int64]:
    """Return numbers as whole seconds, rounded down; without a unit, each number's size decides its unit."""
    if unit is not None:
        return np.floor_divide(numbers, _PER_SECOND[unit]).astype(np.int64)
    size = np.abs(np.maximum(numbers, -_LARGEST))
    if not len(size) or size.max() < _FINER_FROM[0]:
        return np.asarray(numbers if numbers.dtype == np.int64 else np.floor(numbers), np.int64)
    places = np.searchsorted(np.array(_FINER_FROM), size, side="right")
    return np.asarray(np.floor_divide(numbers, np.array(list(_PER_SECOND.values()))[places]), np.int64)
