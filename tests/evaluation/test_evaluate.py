import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from cfmodel.config import EvaluationSettings
from cfmodel.errors import DataError, DigestError, DivergedError
from cfmodel.evaluation.evaluate import Evaluation, EvaluationProgress, evaluate
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef

TRAIN = [("a", "x", 5.0), ("a", "y", 1.0), ("b", "x", 3.0), ("b", "z", 3.0)]
VAL = [("b", "y", 2.0)]
TEST = [("a", "z", 4.0), ("b", "w", 5.0), ("c", "x", 4.0), ("d", "v", 2.0)]

Make = Callable[..., Any]


@pytest.fixture
def split(make_split: Make) -> SplitRef:
    return make_split(TRAIN, VAL, TEST)


@pytest.fixture
def recommender(make_recommender: Make) -> Recommender:
    return make_recommender({"a": 0.5, "b": -0.25}, {"x": 0.75, "y": -1.0, "z": 0.25})


@pytest.fixture
def evaluation(recommender: Recommender, split: SplitRef) -> Evaluation:
    return evaluate(recommender, split, EvaluationSettings(k=(1, 2)))


def test_every_test_row_is_counted_and_a_cold_side_falls_back(evaluation: Evaluation) -> None:
    # Predictions: a,z 3 + 0.5 + 0.25; b,w 3 - 0.25; c,x 3 + 0.75; d,v 3. Errors 0.25, 2.25, 0.25, 1.
    metrics = evaluation.metrics
    assert metrics["test/rows"] == 4
    assert metrics["test/mae"] == pytest.approx(3.75 / 4)
    assert metrics["test/rmse"] == pytest.approx(math.sqrt((0.25**2 + 2.25**2 + 0.25**2 + 1) / 4))
    for name, error in {"warm": 0.25, "cold_movie": 2.25, "cold_user": 0.25, "cold_both": 1.0}.items():
        assert metrics[f"test/rows_{name}"] == 1
        assert metrics[f"test/rmse_{name}"] == pytest.approx(error)
        assert metrics[f"test/mae_{name}"] == pytest.approx(error)


def test_the_floors_are_fitted_on_the_training_part(evaluation: Evaluation) -> None:
    # Mean 3. Movie biases over ratings + 5: x 2/7, y -2/6, z 0. User a: (2 - 2/7 - 2 + 1/3) / 7; b: -2/7 / 7.
    a, b, x = (1 / 3 - 2 / 7) / 7, -2 / 49, 2 / 7
    metrics = evaluation.metrics
    assert metrics["test/global_mean_rmse"] == pytest.approx(math.sqrt((1 + 4 + 1 + 1) / 4))
    assert metrics["test/global_mean_mae"] == pytest.approx(5 / 4)
    assert metrics["test/damped_bias_mae"] == pytest.approx(((1 - a) + (2 - b) + (1 - x) + 1) / 4)
    lift = 1 - metrics["test/rmse"] / metrics["test/damped_bias_rmse"]
    assert metrics["test/lift_over_damped_bias_fraction"] == pytest.approx(lift)


def test_predictions_are_clamped_to_the_training_range(make_recommender: Make, split: SplitRef) -> None:
    recommender = make_recommender({"a": 9.0, "b": -9.0}, {"x": 0.0, "y": 0.0, "z": 0.0})
    metrics = evaluate(recommender, split, EvaluationSettings()).metrics
    assert metrics["test/rmse_warm"] == 1.0  # 5 for 4
    assert metrics["test/rmse_cold_movie"] == 4.0  # 1 for 5


def test_lists_are_measured_beside_popularity(evaluation: Evaluation) -> None:
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


def test_every_key_can_be_logged(evaluation: Evaluation) -> None:
    for key, value in evaluation.metrics.items():
        assert re.fullmatch(r"test/[a-z0-9_]+", key)
        assert isinstance(value, float)
        assert math.isfinite(value)


def test_the_metric_card_states_threshold_denominators_and_ties(evaluation: Evaluation) -> None:
    card = evaluation.metric_card
    for rule in ("rated 4 or higher", "equal scores by the lower movie row", "hits / k", "hits / n", "[1, 5]"):
        assert rule in card
    assert "None" not in card
    for measure in ("ndcg", "recall", "precision", "map", "mrr", "hit_rate", "coverage"):
        assert f"| `{measure}` |" in card


def test_the_threshold_is_three_quarters_up_the_training_range_unless_given(
    make_recommender: Make, recommender: Recommender, split: SplitRef
) -> None:
    assert evaluate(replace(recommender, rating_min=0.5), split, EvaluationSettings()).relevance_threshold == 3.875
    assert evaluate(recommender, split, EvaluationSettings(relevance_threshold=2)).relevance_threshold == 2


def test_the_plots_data_hold_every_row(evaluation: Evaluation) -> None:
    assert evaluation.error_by_popularity.rows.sum() == 4
    assert evaluation.predicted_against_true.histogram.sum() == 4


def test_the_known_noise_floor_is_handed_on(make_split: Make, recommender: Recommender) -> None:
    split = make_split(TRAIN, VAL, TEST, noise_floor=0.5)
    assert evaluate(recommender, split, EvaluationSettings()).metrics["test/noise_floor_rmse"] == 0.5


def test_the_order_of_the_test_rows_changes_nothing(make_split: Make, recommender: Recommender) -> None:
    forward, backward = (
        evaluate(recommender, make_split(TRAIN, VAL, rows), EvaluationSettings()).metrics for rows in (TEST, TEST[::-1])
    )
    assert forward == pytest.approx(backward)


def test_a_model_refitted_on_val_has_floors_fitted_on_val(make_split: Make, recommender: Recommender) -> None:
    split = make_split(TRAIN, VAL, TEST)
    metrics = evaluate(recommender, split, EvaluationSettings(), trained_parts=("train", "val")).metrics
    assert metrics["test/global_mean_mae"] == pytest.approx((1.2 + 2.2 + 1.2 + 0.8) / 4)


@pytest.mark.parametrize("column", [0, 1])
def test_test_ids_of_the_wrong_kind_are_refused_with_examples(
    make_split: Make, recommender: Recommender, column: int
) -> None:
    test = [tuple(f"id-{part}" if side == column else part for side, part in enumerate(row)) for row in TEST]
    split = make_split(TRAIN, VAL, test, strategy="predefined")
    known = "'a', 'b'" if column == 0 else "'x', 'y', 'z'"
    name = ("user_id", "movie_id")[column]
    with pytest.raises(DataError, match=rf"column {name}: \d of \d distinct ids \(100.0%\).*'id-.*{known}.*prefix"):
        evaluate(recommender, split, EvaluationSettings())


def test_ids_of_a_column_are_judged_by_distinct_ids_not_rows(make_split: Make, recommender: Recommender) -> None:
    test = [("a", "z", 4.0), *[("new", "z", 3.0)] * 500]
    split = make_split(TRAIN, VAL, test, strategy="predefined")
    assert evaluate(recommender, split, EvaluationSettings()).metrics["test/rows_cold_user"] == 500


def test_a_temporal_split_may_hold_new_users_alone(make_split: Make, recommender: Recommender) -> None:
    split = make_split(TRAIN, VAL, [("c", "x", 4.0), ("d", "y", 2.0)], strategy="temporal")
    metrics = evaluate(recommender, split, EvaluationSettings()).metrics
    assert metrics["test/rows_cold_user"] == 2
    assert metrics["test/ranking_users"] == 0
    assert "test/ndcg_at_10" not in metrics
    assert "test/rmse_warm" not in metrics


def test_a_model_of_other_ids_is_refused_whatever_the_split(make_recommender: Make, split: SplitRef) -> None:
    stranger = make_recommender({"1": 0.0, "2": 0.0}, {"x": 0.0, "y": 0.0, "z": 0.0})
    with pytest.raises(DataError, match="column user_id"):
        evaluate(stranger, split, EvaluationSettings())


def test_an_empty_test_part_is_refused(make_split: Make, recommender: Recommender) -> None:
    with pytest.raises(DataError, match="0 ratings"):
        evaluate(recommender, make_split(TRAIN, VAL, []), EvaluationSettings())


def test_a_changed_test_part_is_refused(recommender: Recommender, split: SplitRef) -> None:
    (split.path / "test.parquet").write_bytes((split.path / "val.parquet").read_bytes())
    with pytest.raises(DigestError):
        evaluate(recommender, split, EvaluationSettings())


def test_a_diverged_model_is_refused(make_recommender: Make, split: SplitRef) -> None:
    diverged = make_recommender({"a": 0.0, "b": math.nan}, {"x": 0.0, "y": 0.0, "z": 0.0})
    with pytest.raises(DivergedError, match=r"1 of 4 .* not finite"):
        evaluate(diverged, split, EvaluationSettings())


def test_progress_is_told_and_ends_at_one(recommender: Recommender, split: SplitRef) -> None:
    records: list[EvaluationProgress] = []
    evaluate(recommender, split, EvaluationSettings(), on_record=records.append)
    assert [record.stage for record in records] == ["predict", "fold in", "rank model", "rank popularity"]
    assert {record.fraction for record in records} == {1.0}


def test_the_callers_model_stays_where_and_as_it_is(recommender: Recommender, split: SplitRef) -> None:
    before = {name: tensor.clone() for name, tensor in recommender.model.state_dict().items()}
    evaluate(recommender, split, EvaluationSettings(), device=torch.device("cpu"))
    for name, tensor in recommender.model.state_dict().items():
        assert torch.equal(tensor, before[name])
