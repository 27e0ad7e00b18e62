"""Ids of the test ratings, and ids of another kind."""

from collections.abc import Callable
from typing import Any

import pytest
from small_ratings import TEST, TRAIN, VAL

from cfmodel.config import EvaluationSettings
from cfmodel.errors import DataError
from cfmodel.evaluation.evaluate import evaluate
from cfmodel.recommending.recommender import Recommender

Make = Callable[..., Any]


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


def test_the_kind_of_ids_is_judged_by_distinct_ids_not_by_rows(make_split: Make, recommender: Recommender) -> None:
    test = [("a", "z", 4.0), *[("new", "z", 3.0)] * 500]
    split = make_split(TRAIN, VAL, test, strategy="predefined")
    assert evaluate(recommender, split, EvaluationSettings()).metrics["test/rows_cold_user"] == 500
