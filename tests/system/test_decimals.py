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
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_an_error_has_four_significant_digits(value: float, text: str) -> None:
    assert rmse_text(value) == text
