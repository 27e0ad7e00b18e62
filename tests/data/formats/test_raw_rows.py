"""Texts of rows and values in messages."""

from cfmodel.data.formats.raw_rows import short_repr, shorten


def test_long_texts_are_cut_and_short_ones_stay():
    assert shorten("x" * 10_000) == "x" * 10_000
    assert shorten("x" * 10_001) == "x" * 10_000 + "..."
    assert short_repr("abc") == "'abc'"
    assert short_repr("x" * 1_000) == "'" + "x" * 99 + "..."
