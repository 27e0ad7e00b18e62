"""The task that evaluates a model."""

from typing import Any

import pytest


def test_the_metrics_of_the_result_are_those_of_the_mlflow_run(pieces: Any) -> None:
    assert {"test/rmse", "test/mae", "test/damped_bias_rmse"} <= set(pieces.metrics)
    for name, value in pieces.metrics.items():
        assert pieces.recorded.data.metrics[name] == pytest.approx(value), name
