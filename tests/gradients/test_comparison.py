"""Runs held against each other: numbers worked by hand."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from histories import bucket, history

from cfmodel.errors import ConfigError
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import TABLES, TableSample
from cfmodel.gradients.report.comparison import (
    MOST_RUNS,
    ComparedRun,
    RunComparison,
    best_runs,
    comparison_json,
    norm_curve,
    summary_rows,
)
from cfmodel.gradients.report.comparison_page import comparison_page
from cfmodel.gradients.report.histogram_difference import gradient_difference
from cfmodel.gradients.report.page import LARGEST_PAGE


def run(number: int, *, scale: float = 1.0, epochs: int = 2, **params: str) -> ComparedRun:
    curve = [(epoch, 1.0 + scale / epoch) for epoch in range(1, epochs + 1)]
    return ComparedRun(
        name=f"run-{number}",
        run_id=f"{number:032d}",
        params={"train.epochs": str(epochs)} | params,
        metrics={"test/rmse": 0.9 + scale / 10, "test/ndcg_at_10": 0.2, "train/loss": 3.0},
        curves={"train/rmse": curve, "val/rmse": curve},
        history=GradientHistory.of(history(scale=scale, epochs=epochs, seed=number)),
    )


def with_values(found: GradientHistory, *values: list[float]) -> GradientHistory:
    """Replace the sampled gradients of user biases, a list of values per kept sample, evenly over the steps."""
    steps = [round(found.num_steps * (place + 1) / len(values)) for place in range(len(values))]
    samples = [
        replace(sample, step=step, tables={"user_biases": biases_with(sample.tables["user_biases"], numbers)})
        for sample, step, numbers in zip(found.samples, steps, values, strict=False)
    ]
    return replace(found, samples=tuple(samples))


def biases_with(seen: TableSample, numbers: list[float]) -> TableSample:
    return replace(seen, gradient_counts=bucket(np.array(numbers)))


def test_the_difference_of_two_histograms_by_hand() -> None:
    found = GradientHistory.of(history(epochs=2))
    base = with_values(found, [1.0, 1.0, 2.0, -1.0], [1.0, 2.0])
    other = with_values(found, [2.0, 2.0, 2.0, 2.0], [1.0, 2.0])
    pair = gradient_difference(base, other, "user_biases", points=10)
    assert pair.progress.tolist() == [0.5, 1.0]
    # Buckets 127: [1, 2), 128: [2, 4), 383: (-2, -1].
    assert pair.difference[0][[127, 128, 383]].tolist() == [-0.5, 0.75, -0.25]
    assert pair.distance.tolist() == [0.75, 0.0]


def test_runs_of_different_length_are_compared_at_matching_progress() -> None:
    short, long = (GradientHistory.of(history(epochs=epochs)) for epochs in (1, 4))
    base = with_values(short, [1.0], [2.0])
    other = with_values(long, [1.0], [1.0], [4.0], [2.0])
    pair = gradient_difference(base, other, "user_biases", points=10)
    assert pair.progress.tolist() == [0.5, 1.0]
    assert pair.distance.tolist() == [0.0, 0.0]


def test_a_run_that_was_looked_at_early_alone_is_not_held_against_what_came_later() -> None:
    found = GradientHistory.of(history(epochs=2))
    base = with_values(found, [1.0], [1.0], [1.0], [1.0])
    early = with_values(found, [2.0])
    early = replace(early, samples=(replace(early.samples[0], step=base.samples[0].step),))
    pair = gradient_difference(base, early, "user_biases", points=10)
    assert pair.distance[0] == 1.0
    assert np.isnan(pair.distance[1:]).all()
    assert pair.mean_distance == 1.0


def test_a_page_has_no_numbers_where_a_run_was_not_looked_at() -> None:
    one, other = run(1), run(2)
    assert other.history
    early = replace(other, history=replace(other.history, samples=other.history.samples[:1]))
    page = comparison_page(RunComparison((one, early)))
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    pair = json.loads(found[1])["tables"]["user_biases"]["others"][0]
    assert pair["other"][0] is not None
    assert pair["difference"][-1] is None
    assert pair["distance"][-1] is None


def test_a_run_is_not_apart_from_itself_and_larger_gradients_are() -> None:
    one, larger = run(1), run(2, scale=64.0)
    comparison = RunComparison((one, replace(one, run_id="f" * 32), larger))
    alike, apart = comparison.differences("user_embeddings")
    assert alike.distance.max() == 0
    assert apart.distance.min() > 0.8
    np.testing.assert_allclose(apart.difference.sum(axis=1), 0, atol=1e-12)


def test_only_settings_that_differ_are_listed_and_missing_ones_say_so() -> None:
    one, other = run(1, source="synthetic"), run(2, source="synthetic", new="5")
    assert RunComparison((one, other)).settings() == [["new", "not set", "5"]]


def test_the_best_metric_is_set_off_where_best_means_something() -> None:
    assert best_runs("test/rmse", [0.9, 0.8, None]) == [1]
    assert best_runs("test/ndcg_at_10", [0.1, 0.3, 0.3]) == [1, 2]
    assert best_runs("test/rmse", [0.9, 0.9]) == []
    assert best_runs("test/damped_bias_rmse", [0.9, 0.8]) == []
    assert best_runs("best_epoch", [3, 4]) == []


def test_runs_over_different_ratings_are_not_compared_in_silence() -> None:
    one, other = replace(run(1), split_digest="a" * 64), replace(run(2, scale=2.0), split_digest="b" * 64)
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
    found = summary_rows(RunComparison((run(1), run(2, scale=2.0, epochs=3))))
    rows = {name: values for name, *values in found}
    assert rows["train.epochs"] == ["2", "3"]
    assert rows["test/rmse"] == ["1", "1.1"]
    assert [rows[f"gradients apart, {table}"][0] for table in TABLES] == ["base"] * 4


def test_runs_that_were_not_watched_are_compared_without_gradients() -> None:
    comparison = RunComparison((run(1), replace(run(2), history=None)))
    page = comparison_page(comparison)
    assert "Without a record: run-2" in page
    assert not any(name.startswith("gradients apart") for name, *_ in summary_rows(comparison))


def test_the_largest_comparison_stays_below_the_bound_of_a_page() -> None:
    runs = [run(number, scale=float(number), epochs=10) for number in range(1, MOST_RUNS + 1)]
    assert len(comparison_page(RunComparison(tuple(runs))).encode()) < LARGEST_PAGE


def test_no_name_or_setting_becomes_part_of_the_page() -> None:
    nasty = "</script><img src=x onerror=alert(1)>"
    page = comparison_page(RunComparison((run(1, source=nasty), replace(run(2), name=nasty))))
    assert "<img" not in page
    assert page.count("<script") == 2


def test_the_numbers_are_json() -> None:
    found = json.loads(comparison_json(RunComparison((run(1), run(2)))))
    assert found["metrics"]["test/rmse"] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("runs", "words"),
    [([1], "1 run cannot be compared"), ([1, 1], "named twice"), (list(range(13)), "13 runs cannot be compared")],
)
def test_too_few_too_many_and_repeated_runs_are_refused(runs: list[int], words: str) -> None:
    one = replace(run(1), history=None)
    with pytest.raises(ConfigError, match=words):
        RunComparison(tuple(replace(one, run_id=str(number)) for number in runs))
