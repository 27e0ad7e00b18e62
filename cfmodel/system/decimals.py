"""How errors in rating units are written, on any scale of ratings."""

import math

#: Between these, numbers are written without an exponent.
_SMALLEST, _LARGEST = 1e-6, 1e9


def decimals_of(value: float) -> int:
    """Return 4 for a value from 0.1 to 1,000, for 0, NaN and infinity, else as many as show four significant digits."""
    size = abs(value)
    if 0.1 <= size < 1000 or not 0 < size < math.inf:
        return 4
    return max(0, 3 - math.floor(math.log10(size)))


def rmse_text(value: float, *, beside: float | None = None, sign: str = "") -> str:
    """Return an error in rating units as text.

    Args:
        beside: An error whose decimals it has; None: its own.
        sign: "+" to write a plus, too.
    """
    size = abs(value if beside is None else beside)
    exponent = 0 < size < _SMALLEST or _LARGEST <= size < math.inf
    return f"{value:{sign}.3e}" if exponent else f"{value:{sign}.{decimals_of(size)}f}"
