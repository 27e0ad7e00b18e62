"""How many decimals show an error in rating units, on any scale of ratings."""

import math


def decimals_of(value: float) -> int:
    """Return 4 for a value from 0.1 to 1,000, for 0, NaN and infinity, else as many as show four significant digits."""
    size = abs(value)
    if 0.1 <= size < 1000 or not 0 < size < math.inf:
        return 4
    return max(0, 3 - math.floor(math.log10(size)))


def rmse_text(value: float) -> str:
    """Return an error in rating units as text."""
    return f"{value:.{decimals_of(value)}f}"
