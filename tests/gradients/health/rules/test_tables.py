"""The rules on tables, on made-up histories with one measurement changed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from histories import FIVE, OTHERS, Shapes, history
from judgements import found, judged, table

from cfmodel.gradients.health.judge import judge_health
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import EpochGradients, StepBlock, StepSample


def test_dot_products_that_spread_less_than_at_the_start_have_collapsed() -> None:
    verdict = found(EpochGradients, lambda record: replace(record, dot_std=1e-9), "collapsed_embeddings")
    assert (verdict.severity, verdict.words) == ("error", ("vanishing",))


@pytest.mark.parametrize(("first_error", "severity"), [(10.0, "warning"), (1.0, "info")])
def test_a_shared_vector_is_a_fault_if_a_mean_was_left_to_learn(first_error: float, severity: str) -> None:
    leak = table("movie_embeddings", mean_leak=0.9)

    def change(one: Any) -> Any:
        if isinstance(one, StepBlock) and one.epoch == 1:
            return replace(one, mean_squared_error=np.r_[first_error, one.mean_squared_error[1:]])
        return leak(one) if isinstance(one, EpochGradients) else one

    verdicts = {one.rule: one for one in judge_health(GradientHistory.of(map(change, history(refit=False)))).verdicts}
    assert (verdicts["mean_leak"].severity, verdicts["mean_leak"].table) == (severity, "movie_embeddings")


def test_cold_rows_that_move_are_found() -> None:
    change = table("user_embeddings", cold_rows=3, cold_drift=0.4, cold_row_examples=(1, 2, 3))
    verdict = found(EpochGradients, change, "cold_row_drift")
    assert (verdict.severity, len(verdict.ids)) == ("warning", 3)


def test_ghost_updates_are_only_information() -> None:
    assert found(StepSample, table("user_embeddings", ghost_share=0.6), "ghost_updates").severity == "info"


def test_a_gradient_below_its_noise_is_only_information() -> None:
    def lose(sample: StepSample) -> StepSample:
        return replace(sample, signal_square=-0.01 if sample.epoch > 3 else 0.01)

    verdict = found(StepSample, lose, "noise_floor")
    assert (verdict.severity, verdict.first_step) == ("info", 3 * 64 + 1)


@pytest.mark.parametrize(("tables", "name"), [(FIVE, "movie_embeddings"), (OTHERS, "decoder.weight")])
def test_vectors_of_any_name_are_judged_as_such(tables: Shapes, name: str) -> None:
    assert found(EpochGradients, table(name, mean_leak=0.9), "mean_leak", tables=tables).table == name
    assert found(StepSample, table(name, ghost_share=0.9), "ghost_updates", tables=tables).table == name
    assert found(EpochGradients, table(name, effective_rank=1.0), "collapsed_embeddings", tables=tables).table == name


@pytest.mark.parametrize(("tables", "name"), [(FIVE, "movie_offsets"), (OTHERS, "bias")])
def test_single_numbers_of_any_name_drift_but_have_no_rank(tables: Shapes, name: str) -> None:
    change = table(name, cold_rows=3, cold_drift=0.4, cold_row_examples=(1,))
    assert found(EpochGradients, change, "cold_row_drift", tables=tables).table == name
    assert not judged(StepSample, table(name, ghost_share=0.9), tables=tables).verdicts


def test_tables_without_vectors_have_no_verdict_on_vectors() -> None:
    numbers = {"user_biases": (600, 1), "movie_biases": (300, 1)}
    report = judged(EpochGradients, lambda record: replace(record, dot_std=1e-9), tables=numbers)
    assert [(verdict.rule, verdict.severity) for verdict in report.verdicts] == [("collapsed_embeddings", "info")]
