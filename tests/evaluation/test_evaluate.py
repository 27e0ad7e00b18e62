"""An evaluation as a whole, worked by hand."""

import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from small_ratings import TEST, TRAIN, VAL

from cfmodel.config import EvaluationSettings
from cfmodel.errors import DivergedError
from cfmodel.evaluation.evaluate import Evaluation, evaluate
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef

Make = Callable[..., Any]


def test_every_test_row_is_counted_and_cold_ids_fall_back_to_the_mean(evaluation: Evaluation) -> None:
    # Predictions: a,z 3 + 0.5 + 0.25; b,w 3 - 0.25; c,x 3 + 0.75; d,v 3. Errors 0.25, 2.25, 0.25, 1.
    metrics = evaluation.metrics
    assert metrics["test/rows"] == 4
    assert metrics["test/mae"] == pytest.approx(3.75 / 4)
    assert metrics["test/rmse"] == pytest.approx(math.sqrt((0.25**2 + 2.25**2 + 0.25**2 + 1) / 4))
    for name, error in {"warm": 0.25, "cold_movie": 2.25, "cold_user": 0.25, "cold_both": 1.0}.items():
        assert metrics[f"test/rows_{name}"] == 1
        assert metrics[f"test/rmse_{name}"] == pytest.approx(error)
        assert metrics[f"test/mae_{name}"] == pytest.approx(error)


def test_predictions_are_clamped_to_the_training_range(make_recommender: Make, split: SplitRef) -> None:
    recommender = make_recommender({"a": 9.0, "b": -9.0}, {"x": 0.0, "y": 0.0, "z": 0.0})
    metrics = evaluate(recommender, split, EvaluationSettings()).metrics
    assert metrics["test/rmse_warm"] == 1.0  # 5 for 4
    assert metrics["test/rmse_cold_movie"] == 4.0  # 1 for 5


def test_every_key_can_be_logged(evaluation: Evaluation) -> None:
    for key, value in evaluation.metrics.items():
        assert re.fullmatch(r"test/[a-z0-9_]+", key)
        assert isinstance(value, float)
        assert math.isfinite(value)


def test_the_threshold_is_three_quarters_up_the_training_range_unless_given(
    make_recommender: Make, recommender: Recommender, split: SplitRef
) -> None:
    assert evaluate(replace(recommender, rating_min=0.5), split, EvaluationSettings()).relevance_threshold == 3.875
    assert evaluate(recommender, split, EvaluationSettings(relevance_threshold=2)).relevance_threshold == 2


def test_the_data_for_plots_hold_every_row(evaluation: Evaluation) -> None:
    assert evaluation.error_by_popularity.rows.sum() == 4
    assert evaluation.predicted_against_true.histogram.sum() == 4


def test_a_known_noise_floor_is_a_metric(make_split: Make, recommender: Recommender) -> None:
    split = make_split(TRAIN, VAL, TEST, noise_floor=0.5)
    assert evaluate(recommender, split, EvaluationSettings()).metrics["test/noise_floor_rmse"] == 0.5


def test_the_order_of_the_test_rows_does_not_matter(make_split: Make, recommender: Recommender) -> None:
    forward, backward = (
        evaluate(recommender, make_split(TRAIN, VAL, rows), EvaluationSettings()).metrics for rows in (TEST, TEST[::-1])
    )
    assert forward == pytest.approx(backward)


def test_a_diverged_model_is_refused(make_recommender: Make, split: SplitRef) -> None:
    diverged = make_recommender({"a": 0.0, "b": math.nan}, {"x": 0.0, "y": 0.0, "z": 0.0})
    with pytest.raises(DivergedError, match=r"1 of 4 .* not finite"):
        evaluate(diverged, split, EvaluationSettings())


def test_the_callers_model_is_neither_moved_nor_changed(recommender: Recommender, split: SplitRef) -> None:
    before = {name: tensor.clone() for name, tensor in recommender.model.state_dict().items()}
    evaluate(recommender, split, EvaluationSettings(), device=torch.device("cpu"))
    for name, tensor in recommender.model.state_dict().items():
        assert torch.equal(tensor, before[name])
