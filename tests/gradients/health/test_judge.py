"""Judgement: the order and severity of verdicts."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from histories import FIVE, OTHER_SIDES, OTHERS, Shapes, history
from judgements import far_rating, judged, table

from cfmodel.gradients.health.judge import judge_health
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import EpochGradients, InitialRecord, Outcome, StepBlock


def test_a_sound_history_is_healthy() -> None:
    report = judged()
    assert report.overall == "healthy", report.verdicts
    assert report.first is None


@pytest.mark.parametrize("rounding", [0.0, 1e-8])
def test_steps_away_from_equal_ratings_and_back_are_healthy(rounding: float) -> None:
    """The start is exact, so that noise is a rise of any size, and embeddings without it have collapsed."""

    def of_equal(deviation: float) -> list[Any]:
        return [
            replace(one, rating_std=deviation, prediction_std=0.01)
            if isinstance(one, InitialRecord)
            else replace(one, mean_squared_error=np.full(64, 1e-3 if one.epoch == 2 else 1e-9))
            if isinstance(one, StepBlock)
            else replace(one, dot_std=1e-5)
            if isinstance(one, EpochGradients)
            else one
            for one in history(refit=False)
        ]

    assert judge_health(GradientHistory.of(of_equal(rounding))).overall == "healthy"
    assert {"collapsed_embeddings"} < {each.rule for each in judge_health(GradientHistory.of(of_equal(0.01))).verdicts}


def test_ids_without_ratings_are_found_where_ratings_are_equal() -> None:
    records = [
        replace(one, rating_std=0.0, cold_rows={name: rows // 2 for name, rows in one.rows.items()})
        if isinstance(one, InitialRecord)
        else one
        for one in history(refit=False)
    ]
    assert [each.rule for each in judge_health(GradientHistory.of(records)).verdicts] == ["id_coverage"]


def test_a_history_without_records_is_healthy() -> None:
    assert judge_health(GradientHistory.of([])).verdicts == ()


def test_ids_are_those_of_the_source() -> None:
    records = [
        table("movie_embeddings", dead_rows=30, dead_row_examples=(2,))(one) if isinstance(one, EpochGradients) else one
        for one in history(refit=False)
    ]
    report = judge_health(GradientHistory.of(records), ids=lambda name, row: f"{name[0]}{row * 100}")
    assert report.verdicts[0].ids == ("movie m200",)


def test_a_cause_is_at_least_as_severe_as_its_consequence_and_comes_before_it() -> None:
    def change(one: Any) -> Any:
        if isinstance(one, StepBlock):
            return far_rating(one, (1, 2, 3))
        return replace(one, val_rmse=(1.2,)) if isinstance(one, Outcome) else one

    verdicts = judge_health(GradientHistory.of(map(change, history(refit=False)))).verdicts
    assert [verdict.rule for verdict in verdicts[:2]] == ["outlier_labels", "no_signal"]
    assert verdicts[0].severity == "error"


@pytest.mark.parametrize("tables", [FIVE, OTHERS])
def test_a_sound_history_of_other_tables_is_healthy(tables: Shapes) -> None:
    report = judged(tables=tables)
    assert report.overall == "healthy", report.verdicts
    assert judged(StepBlock, lambda block: far_rating(block, (2, 4)), tables=tables).first is not None


def test_ids_are_looked_up_by_the_side_that_the_records_declare() -> None:
    change = table("encoder.weight", dead_rows=30, dead_row_examples=(2,))
    records = history(refit=False, tables=OTHERS, sides=OTHER_SIDES)
    changed = [change(one) if isinstance(one, EpochGradients) else one for one in records]
    names = {("user", 2): "Ada"}
    report = judge_health(GradientHistory.of(changed), ids=lambda side, row: names[side, row])
    assert report.verdicts[0].ids == ("user Ada",)
