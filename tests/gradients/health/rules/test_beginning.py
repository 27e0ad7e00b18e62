"""The rules on the start of training, on made-up histories with one measurement changed."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from histories import FIVE, OTHERS, Shapes, history
from judgements import found, table

from cfmodel.gradients.health.judge import judge_health
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import EpochGradients, InitialRecord, StepBlock, StepSample


def test_a_number_that_is_not_finite_is_an_error_with_the_ids_of_its_rating() -> None:
    def spoil(block: StepBlock) -> StepBlock:
        finite = block.finite.copy()
        finite[3] = block.epoch != 2
        return replace(block, finite=finite)

    verdict = found(StepBlock, spoil, "non_finite")
    assert (verdict.severity, verdict.first_step) == ("error", 64 + 4)
    assert len(verdict.ids) == 2
    assert verdict.words == ("exploding",)


@pytest.mark.parametrize(("ratio", "severity"), [(0.5, "warning"), (2.0, "error")])
def test_initial_predictions_that_spread_like_the_ratings_are_too_large(ratio: float, severity: str) -> None:
    def widen(record: InitialRecord) -> InitialRecord:
        return replace(record, prediction_std=ratio * record.rating_std)

    verdict = found(InitialRecord, widen, "initialisation_too_large")
    assert (verdict.severity, verdict.first_step) == (severity, 0)
    assert verdict.value == pytest.approx(ratio)


def test_predictions_of_a_trained_model_may_spread() -> None:
    records = [
        replace(one, prediction_std=0.5 * one.rating_std, rating_std=2.0) if isinstance(one, InitialRecord) else one
        for one in history(refit=False)
    ]
    assert "initialisation_too_large" not in {one.rule for one in judge_health(GradientHistory.of(records)).verdicts}


def test_a_table_without_a_gradient_from_the_start_is_dead() -> None:
    def kill(block: StepBlock) -> StepBlock:
        return replace(block, grad_norms=block.grad_norms | {"user_embeddings": np.zeros(len(block.loss))})

    verdict = found(StepBlock, kill, "dead_table")
    assert (verdict.severity, verdict.table) == ("error", "user_embeddings")
    assert set(verdict.words) == {"vanishing", "dead"}


def test_a_table_with_a_gradient_that_does_not_move_is_frozen() -> None:
    verdict = found(StepSample, table("movie_biases", update_norm=0.0), "frozen_table")
    assert (verdict.severity, verdict.table, verdict.first_step) == ("error", "movie_biases", 1)


@pytest.mark.parametrize(("dead", "severity"), [(1, "warning"), (300, "error")])
def test_dead_rows_are_found_with_their_ids(dead: int, severity: str) -> None:
    change = table("user_embeddings", dead_rows=dead, dead_row_examples=(4, 9))
    verdict = found(EpochGradients, change, "dead_rows")
    assert (verdict.severity, verdict.ids, verdict.words) == (severity, ("user row 4", "user row 9"), ("dead",))


@pytest.mark.parametrize(("cold", "severity"), [(100, "warning"), (400, "error")])
def test_rows_without_ratings_reduce_coverage(cold: int, severity: str) -> None:
    def cool(record: InitialRecord) -> InitialRecord:
        return replace(record, cold_rows=record.cold_rows | {"user_embeddings": cold})

    verdict = found(InitialRecord, cool, "id_coverage")
    assert (verdict.severity, verdict.table) == (severity, "user_embeddings")


def test_a_table_that_does_not_move_for_an_epoch_is_frozen() -> None:
    def freeze(record: EpochGradients) -> EpochGradients:
        return table("user_biases", frozen=record.epoch == 2)(record)

    assert found(EpochGradients, freeze, "frozen_table").first_step == 65


@pytest.mark.parametrize(("tables", "name"), [(FIVE, "movie_offsets"), (OTHERS, "decoder.weight")])
def test_a_table_of_any_name_is_found_dead_frozen_not_finite_or_without_ratings(tables: Shapes, name: str) -> None:
    def norms(value: float) -> Callable[[StepBlock], StepBlock]:
        changed = np.full(64, value)
        finite = np.full(64, bool(np.isfinite(value)))
        return lambda block: replace(block, grad_norms=block.grad_norms | {name: changed}, finite=finite)

    assert found(StepBlock, norms(0.0), "dead_table", tables=tables).table == name
    assert found(StepBlock, norms(np.nan), "non_finite", tables=tables).table == name
    assert found(StepSample, table(name, update_norm=0.0), "frozen_table", tables=tables).table == name
    assert found(EpochGradients, table(name, dead_rows=9), "dead_rows", tables=tables).table == name

    def cool(record: InitialRecord) -> InitialRecord:
        return replace(record, cold_rows=record.cold_rows | {name: 99})

    assert found(InitialRecord, cool, "id_coverage", tables=tables).table == name
