"""Comparisons of runs, with numbers worked by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest
from histories import FIVE, FOUR, OTHERS, history
from made_reports import compared_run

from cfmodel.errors import ConfigError
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.report.comparison import (
    RunComparison,
    best_runs,
    comparison_json,
    norm_curve,
    summary_rows,
)
from cfmodel.gradients.report.comparison_page import comparison_page


def test_a_run_has_no_distance_from_itself_but_from_larger_gradients() -> None:
    one, larger = compared_run(1), compared_run(2, scale=64.0)
    comparison = RunComparison((one, replace(one, run_id="f" * 32), larger))
    alike, apart = comparison.differences("user_embeddings")
    assert alike.distance.max() == 0
    assert apart.distance.min() > 0.8
    np.testing.assert_allclose(apart.difference.sum(axis=1), 0, atol=1e-12)


def test_only_settings_that_differ_are_listed_and_missing_ones_are_marked() -> None:
    one, other = compared_run(1, source="synthetic"), compared_run(2, source="synthetic", new="5")
    assert RunComparison((one, other)).settings() == [["new", "not set", "5"]]


def test_the_best_value_is_found_for_metrics_that_have_one() -> None:
    assert best_runs("test/rmse", [0.9, 0.8, None]) == [1]
    assert best_runs("test/ndcg_at_10", [0.1, 0.3, 0.3]) == [1, 2]
    assert best_runs("test/rmse", [0.9, 0.9]) == []
    assert best_runs("test/damped_bias_rmse", [0.9, 0.8]) == []
    assert best_runs("best_epoch", [3, 4]) == []


def test_runs_on_different_ratings_are_compared_with_a_warning() -> None:
    one, other = (
        replace(compared_run(1), split_digest="a" * 64),
        replace(compared_run(2, scale=2.0), split_digest="b" * 64),
    )
    apart = RunComparison((one, other))
    assert "different ratings (digests of the split: base aaaaaaaaaaaa, run 2 bbbbbbbbbbbb)" in (
        apart.data_note() or ""
    )
    assert "on different rows" in comparison_page(apart)
    assert json.loads(comparison_json(apart))["same_data"] is False
    together = RunComparison((one, replace(other, split_digest="a" * 64)))
    assert together.data_note() is None
    assert "on different rows" not in comparison_page(together)
    assert comparison_page(together).count("<td class=best>") > comparison_page(apart).count("<td class=best>") == 0


def test_norms_are_medians_by_progress() -> None:
    found = GradientHistory.of(history(epochs=2))
    curve = norm_curve(found, "user_biases", points=2)
    assert [done for done, _ in curve] == [0.5, 1.0]
    assert curve[0][1] == pytest.approx(np.median(found.grad_norm("user_biases")[:64]))


def test_the_short_table_has_settings_errors_and_distances() -> None:
    found = summary_rows(RunComparison((compared_run(1), compared_run(2, scale=2.0, epochs=3))))
    rows = {name: values for name, *values in found}
    assert rows["train.epochs"] == ["2", "3"]
    assert rows["test/rmse"] == ["1", "1.1"]
    assert [rows[f"gradients apart, {table}"][0] for table in FOUR] == ["base"] * 4


def test_the_numbers_are_json() -> None:
    found = json.loads(comparison_json(RunComparison((compared_run(1), compared_run(2)))))
    assert found["metrics"]["test/rmse"] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("runs", "words"),
    [([1], "1 run cannot be compared"), ([1, 1], "named twice"), (list(range(13)), "13 runs cannot be compared")],
)
def test_too_few_too_many_and_repeated_runs_are_refused(runs: list[int], words: str) -> None:
    one = replace(compared_run(1), history=None)
    with pytest.raises(ConfigError, match=words):
        RunComparison(tuple(replace(one, run_id=str(number)) for number in runs))


def test_runs_are_compared_in_the_tables_that_they_share() -> None:
    four, five = compared_run(1), compared_run(2, tables=FIVE)
    assert RunComparison((four, five)).tables == RunComparison((five, four)).tables == tuple(FOUR)
    assert RunComparison((five, replace(five, run_id="f" * 32))).tables == tuple(FIVE)
    others = RunComparison((four, compared_run(3, tables=OTHERS)))
    assert others.tables == ()
    assert json.loads(comparison_json(others))["gradient_distance"] == {}
