"""One number or moment from its text: what is asked only where a whole column cannot be cast at once."""

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)", re.ASCII | re.IGNORECASE)
_COMMA = re.compile(r"([+-]?\d*),(\d+)", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_ZONE = re.compile(r"\s*(UTC|GMT)$", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LARGEST = 2**63 - 1  # its negative has an absolute value that fits, too
#: The years 1 to 9999 in seconds since 1970-01-01 UTC.
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
#: A number of this size or more is in the finer unit: as seconds it would lie beyond the year 5000,
#: as the finer unit it lies after 1973.
_FINER_FROM = (100_000_000_000, 100_000_000_000_000, 100_000_000_000_000_000)


def number(text: str, decimal: str | None) -> float | None:
    """Return the number that a text writes, None where it writes none.

    Args:
        text: Without blanks around it.
        decimal: Mark before the decimals. None takes either, but a comma before just three digits
            only with a zero in front: `1,234` may be a thousand.
    """
    if decimal != "," and _NUMBER.fullmatch(text):
        return float(text)
    if decimal == "." or not (parts := _COMMA.fullmatch(text)):
        return float(text) if decimal == "," and _WHOLE.fullmatch(text) else None
    whole, decimals = parts.groups()
    if decimal is None and len(decimals) == 3 and whole.lstrip("+-0"):
        return None
    return float(f"{whole}.{decimals}")


def moment(text: str, unit: str | None) -> int | None:
    """Return the seconds since 1970-01-01 UTC that a text writes, None where it writes no moment.

    Args:
        text: A number or ISO 8601 without blanks around it; without a zone it is UTC.
        unit: Unit of a number; None: by its size.
    """
    if _WHOLE.fullmatch(text):
        return int(seconds(np.array([int(text)]), unit)[0])
    if (value := number(text, None)) is not None:
        return int(seconds(np.array([value]), unit)[0]) if abs(value) < 2.0**62 else None
    try:
        found = datetime.fromisoformat(_ZONE.sub("", text.replace(",", ".")))
        aware = found if found.tzinfo else found.replace(tzinfo=UTC)
        return (aware - _EPOCH) // timedelta(seconds=1)
    except (ValueError, OverflowError):
        return None


def seconds(numbers: npt.NDArray[np.int64] | npt.NDArray[np.float64], unit: str | None) -> npt.NDArray[np.int64]:
    """Return numbers of a unit as whole seconds, rounded down; by their size where no unit is given."""
    if unit is not None:
        return np.floor_divide(numbers, _PER_SECOND[unit]).astype(np.int64)
    size = np.abs(np.maximum(numbers, -_LARGEST))
    if not len(size) or size.max() < _FINER_FROM[0]:
        return np.asarray(numbers if numbers.dtype == np.int64 else np.floor(numbers), np.int64)
    places = np.searchsorted(np.array(_FINER_FROM), size, side="right")
    return np.asarray(np.floor_divide(numbers, np.array(list(_PER_SECOND.values()))[places]), np.int64)
