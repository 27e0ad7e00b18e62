"""Parsing of single numbers and timestamps, for columns that Arrow cannot cast as a whole."""

import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal
from unicodedata import decimal as decimal_of

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)", re.ASCII | re.IGNORECASE)
_COMMA = re.compile(r"([+-]?\d*),(\d+)", re.ASCII)
_TRUTH = {"true": 1.0, "false": 0.0}
#: Thousands in groups, by the decimal mark.
_GROUPED = {
    ",": re.compile(r"[+-]?\d{1,3}(?:([. '’\u00a0\u202f])\d{3})(?:\1\d{3})*(?:,\d*)?", re.ASCII),
    ".": re.compile(r"[+-]?\d{1,3}(?:([, '’\u00a0\u202f])\d{3})(?:\1\d{3})*(?:\.\d*)?", re.ASCII),
}
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
#: What stands for UTC behind a time, besides `Z`; and what ISO 8601 does not have before a zone and behind it.
_ZONE = re.compile(r"\s*(UTC|GMT)$")
_OWN_ZONE = re.compile(r"\s+(?=[+-]\d\d:?\d\d$)|(?<=\dZ|\d\d)\[[A-Z_/+0-9-]+\]$")
#: The digits of a second's fraction that Python's datetime drops: nanoseconds.
_BEYOND_MICROSECONDS = re.compile(r"\.\d{6}(\d{1,3})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: Nanoseconds in each unit of a numeric timestamp.
NANOSECONDS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
#: Nanoseconds from 1970 on that a signed integer of 64 bits holds, on both sides: the years 1678 to 2261.
MOST_NANOSECONDS = 2**63 - 1
#: Numbers from this size on are in the next finer unit. As seconds, 100 billion would be after the year
#: 5000; as milliseconds, it is in 1973.
_FINER_FROM = (100_000_000_000, 100_000_000_000_000, 100_000_000_000_000_000)


def parse_number(text: str, decimal: str | None) -> float | None:
    """Return a text's number, None if it is not one; true is 1, false is 0, and `85%` is 85.

    Args:
        text: The text, without blanks around it.
        decimal: The decimal mark, `.` or `,`; the other one, a blank or an apostrophe may group thousands,
            as in `1.234,5`. None allows both marks and no groups: `1,234` is not a number then, since the
            comma may group thousands; `0,234` is.
    """
    if (truth := _TRUTH.get(text.lower())) is not None:
        return truth
    text = text.removesuffix("%")
    if not text.isascii():
        text = "".join(str(decimal_of(letter, letter)) for letter in text)  # digits of other scripts
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
    """Return a text's time in nanoseconds since 1970-01-01 UTC, None if it is not a time in the years 1678 to 2261.

    Args:
        text: A number or ISO 8601, without blanks around it; without a time zone it is UTC.
        unit: Unit of a number; None: by its size.
    """
    pointed = text.replace(",", ".")
    if (value := parse_number(pointed, ".")) is not None:
        if not abs(value) < 2.0**63:
            return None
        number = Decimal(pointed)  # a float has too few digits for nanoseconds
        return _in_range(int((number * NANOSECONDS[unit or unit_of(value)]).to_integral_value(ROUND_FLOOR)))
    try:
        found = datetime.fromisoformat(_OWN_ZONE.sub("", _ZONE.sub("", pointed.upper())))
    except ValueError:
        return None
    finer = _BEYOND_MICROSECONDS.search(pointed)
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    microseconds = (aware - _EPOCH) // timedelta(microseconds=1)
    return _in_range(1000 * microseconds + (int(finer[1].ljust(3, "0")) if finer else 0))


def _in_range(nanoseconds: int) -> int | None:
    return nanoseconds if abs(nanoseconds) <= MOST_NANOSECONDS else None


def unit_of(number: float) -> str:
    """Return the unit of a numeric timestamp by its size."""
    return list(NANOSECONDS)[int(np.searchsorted(_FINER_FROM, abs(number), side="right"))]


def to_nanoseconds(
    numbers: Integers | npt.NDArray[np.float64], unit: str | None
) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """Return numbers as nanoseconds since 1970-01-01 UTC, and which of them are within the years 1678 to 2261.

    Args:
        unit: Unit of all numbers; None: each number's size decides its unit.
    """
    factors: Integers = np.array(list(NANOSECONDS.values()), np.int64)
    lowest = float(numbers.min(initial=0))
    largest = max(float(numbers.max(initial=0)), -lowest)
    if unit is not None or largest < _FINER_FROM[0]:
        each = np.array([NANOSECONDS[unit or "s"]], np.int64)
    else:
        size = np.abs(numbers.astype(np.float64))
        each = factors[np.searchsorted(np.array(_FINER_FROM), size, side="right")]
    whole = np.floor(numbers).astype(np.int64, copy=False)
    if largest < MOST_NANOSECONDS // int(each.max()):
        fits = np.ones(len(numbers), bool)
    else:
        fits = (whole < MOST_NANOSECONDS // each) & (whole > -(MOST_NANOSECONDS // each))
        whole = np.where(fits, whole, 0)
    nanoseconds: Integers = whole * each
    if numbers.dtype.kind == "f":
        # A float holds no finer fraction than about a microsecond of today.
        microseconds = np.rint(np.where(fits, numbers - whole, 0.0) * (each / 1000))
        nanoseconds += 1000 * microseconds.astype(np.int64)
    return nanoseconds, fits
