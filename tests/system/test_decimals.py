"""Errors are shown with enough decimals on any scale of ratings."""

import math

import pytest

from cfmodel.system.decimals import rmse_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.91236, "0.9124"),
        (16.74594, "16.7459"),
        (0.00091236, "0.0009124"),
        (21512.345, "21512"),
        (0.0, "0.0000"),
        (8.0671e-301, "8.067e-301"),
        (2.34567e12, "2.346e+12"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_an_error_has_four_significant_digits(value: float, text: str) -> None:
    assert rmse_text(value) == text


def test_a_difference_has_the_decimals_of_the_error_beside_it() -> None:
    assert rmse_text(0.0000123, beside=0.91, sign="+") == "+0.0000"
    assert rmse_text(-191.4, beside=93106.0, sign="+") == "-191"
    assert rmse_text(1.9e-12, beside=9.3e-10, sign="+") == "+1.900e-12"
