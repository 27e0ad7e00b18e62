"""Errors of the baselines, and the lift over them."""

import numpy as np
import pytest

from cfmodel.evaluation.baseline_errors import baseline_metrics, lift


def test_lift_is_the_fraction_by_which_a_model_beats_a_baseline() -> None:
    assert lift(0.9, 1.0, lower_is_better=True) == pytest.approx(0.1)
    assert lift(0.3, 0.2, lower_is_better=False) == pytest.approx(0.5)
    assert lift(0.3, 0.0, lower_is_better=False) is None


def test_a_baseline_has_its_errors_and_the_lift_over_it() -> None:
    metrics = baseline_metrics(0.5, {"global_mean": np.array([3.0, 3.0])}, np.array([2.0, 4.0]))
    assert metrics == {
        "test/global_mean_rmse": 1.0,
        "test/global_mean_mae": 1.0,
        "test/lift_over_global_mean_fraction": 0.5,
    }
