"""Statistics of columns, compared with numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfmodel.column_statistics import occurrences, standard_deviation


@settings(deadline=None)
@given(st.lists(st.integers(-1, 20), max_size=50))
def test_rows_are_counted_as_numpy_counts_them(rows: list[int]) -> None:
    given = np.array(rows, np.int32)
    assert occurrences(given).tolist() == np.bincount(given[given >= 0]).tolist()


@settings(deadline=None)
@given(st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=200), st.sampled_from([0.0, 5.0, 1e6]))
def test_the_standard_deviation_is_that_of_numpy(values: list[float], shift: float) -> None:
    given = np.array(values, np.float32) + np.float32(shift)
    assert standard_deviation(given) == pytest.approx(np.std(given, dtype=np.float64), rel=1e-6, abs=1e-6)


def test_values_that_are_not_finite_give_nan() -> None:
    assert np.isnan(standard_deviation(np.array([1, np.nan, 2], np.float32)))
