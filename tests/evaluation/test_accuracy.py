"""RMSE and MAE."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfmodel.evaluation.accuracy import Accuracy

RATINGS = st.lists(st.tuples(st.floats(1, 5), st.floats(1, 5)), min_size=1, max_size=50)


def test_rmse_and_mae_of_three_rows_are_as_worked_by_hand() -> None:
    accuracy = Accuracy.of(np.array([3.0, 4.0, 1.0]), np.array([4.0, 4.0, 3.0]))
    assert accuracy.rows == 3
    assert accuracy.rmse == pytest.approx((5 / 3) ** 0.5)
    assert accuracy.mae == pytest.approx(1.0)


def test_no_rows_have_no_error() -> None:
    accuracy = Accuracy.of(np.empty(0), np.empty(0))
    assert accuracy == Accuracy(0, None, None)
    assert accuracy.metrics("warm") == {"test/rows_warm": 0.0}


def test_keys_name_the_slice() -> None:
    accuracy = Accuracy(2, 0.5, 0.25)
    assert accuracy.metrics() == {"test/rows": 2.0, "test/rmse": 0.5, "test/mae": 0.25}
    assert list(accuracy.metrics("cold_user")) == ["test/rows_cold_user", "test/rmse_cold_user", "test/mae_cold_user"]


@given(RATINGS)
def test_mae_is_at_most_rmse_and_neither_depends_on_the_order_of_rows(pairs: list[tuple[float, float]]) -> None:
    predictions, ratings = (np.array(side) for side in zip(*pairs, strict=True))
    forward = Accuracy.of(predictions, ratings)
    backward = Accuracy.of(predictions[::-1], ratings[::-1])
    assert forward.rmse == pytest.approx(backward.rmse)
    assert forward.mae is not None
    assert forward.rmse is not None
    assert forward.mae <= forward.rmse * (1 + 1e-12)


def test_float32_predictions_are_summed_in_float64() -> None:
    rows = 2**24 + 8  # in float32, counting up by one stops at 2**24
    accuracy = Accuracy.of(np.ones(rows, np.float32), np.zeros(rows, np.float32))
    assert accuracy.mae == 1.0
