"""What an evaluation reads, and refuses, of a split."""

from collections.abc import Callable
from typing import Any

import pytest
from small_ratings import TRAIN, VAL

from cfmodel.config import EvaluationSettings
from cfmodel.errors import DataError, DigestError
from cfmodel.evaluation.evaluate import evaluate
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef

Make = Callable[..., Any]


def test_a_temporal_split_may_have_only_new_users(make_split: Make, recommender: Recommender) -> None:
    split = make_split(TRAIN, VAL, [("c", "x", 4.0), ("d", "y", 2.0)], strategy="temporal")
    metrics = evaluate(recommender, split, EvaluationSettings()).metrics
    assert metrics["test/rows_cold_user"] == 2
    assert metrics["test/ranking_users"] == 0
    assert "test/ndcg_at_10" not in metrics
    assert "test/rmse_warm" not in metrics


def test_a_model_with_other_ids_is_refused_for_every_split(make_recommender: Make, split: SplitRef) -> None:
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
