"""Metrics under their keys, next to those of the baselines."""

import math
from collections.abc import Callable
from typing import Any

import pytest
from small_ratings import TEST, TRAIN, VAL

from cfmodel.config import EvaluationSettings
from cfmodel.evaluation.evaluate import Evaluation, EvaluationProgress, evaluate
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef

Make = Callable[..., Any]


def test_the_baselines_are_fitted_on_the_training_part(evaluation: Evaluation) -> None:
    # Mean 3. Movie biases over ratings + 5: x 2/7, y -2/6, z 0. User a: (2 - 2/7 - 2 + 1/3) / 7; b: -2/7 / 7.
    a, b, x = (1 / 3 - 2 / 7) / 7, -2 / 49, 2 / 7
    metrics = evaluation.metrics
    assert metrics["test/global_mean_rmse"] == pytest.approx(math.sqrt((1 + 4 + 1 + 1) / 4))
    assert metrics["test/global_mean_mae"] == pytest.approx(5 / 4)
    assert metrics["test/damped_bias_mae"] == pytest.approx(((1 - a) + (2 - b) + (1 - x) + 1) / 4)
    lift = 1 - metrics["test/rmse"] / metrics["test/damped_bias_rmse"]
    assert metrics["test/lift_over_damped_bias_fraction"] == pytest.approx(lift)


def test_lists_are_compared_with_popularity(evaluation: Evaluation) -> None:
    # a has one movie left, z, and likes it; b likes w, which is cold; c and d have no list.
    metrics = evaluation.metrics
    assert metrics["test/ranking_users"] == 2
    assert metrics["test/ranking_users_cold"] == 2
    assert metrics["test/ranking_relevant"] == 2
    assert metrics["test/ranking_relevant_cold"] == 1
    assert metrics["test/recall_at_1"] == 0.5
    assert metrics["test/precision_at_2"] == 0.25
    assert metrics["test/popularity_ndcg_at_1"] == 0.5
    assert metrics["test/lift_over_popularity_ndcg_at_1_fraction"] == 0.0
    assert metrics["test/coverage_at_2"] == pytest.approx(1 / 3)


def test_progress_is_reported_and_ends_at_one(recommender: Recommender, split: SplitRef) -> None:
    records: list[EvaluationProgress] = []
    evaluate(recommender, split, EvaluationSettings(), on_record=records.append)
    assert [record.stage for record in records] == ["predict", "fold in", "rank model", "rank popularity"]
    assert {record.fraction for record in records} == {1.0}


def test_for_a_model_refitted_on_val_the_baselines_are_fitted_on_val_too(
    make_split: Make, recommender: Recommender
) -> None:
    split = make_split(TRAIN, VAL, TEST)
    metrics = evaluate(recommender, split, EvaluationSettings(), trained_parts=("train", "val")).metrics
    assert metrics["test/global_mean_mae"] == pytest.approx((1.2 + 2.2 + 1.2 + 0.8) / 4)
