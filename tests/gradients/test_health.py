"""The rules on made-up histories: one measurement changed at a time."""

import json
from collections import deque
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from histories import history

from cfmodel.config import HealthSettings
from cfmodel.errors import UnhealthyError
from cfmodel.gradients.health.early_stop import HealthWatch
from cfmodel.gradients.health.judge import THRESHOLDS, judge_health
from cfmodel.gradients.health.rules.catalogue import RULES
from cfmodel.gradients.health.thresholds import Thresholds
from cfmodel.gradients.health.verdicts import HealthReport, Verdict
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import EpochGradients, InitialRecord, Outcome, StepBlock, StepSample

Change = Callable[[Any], Any]


def judged(kind: type | None = None, change: Change | None = None) -> HealthReport:
    """Judge a sound made-up history in which every record of one kind was changed."""
    records = history(refit=False)
    return judge_health(
        GradientHistory.of(change(one) if change and kind and isinstance(one, kind) else one for one in records)
    )


def found(kind: type, change: Change, rule: str) -> Verdict:
    """Return what a rule says of such a history."""
    verdicts = {verdict.rule: verdict for verdict in judged(kind, change).verdicts}
    assert rule in verdicts, list(verdicts)
    return verdicts[rule]


def table(name: str, **changes: Any) -> Change:
    """Return what changes one table of a record."""
    return lambda record: replace(record, tables=record.tables | {name: replace(record.tables[name], **changes)})


def test_a_history_with_nothing_wrong_is_healthy() -> None:
    report = judged()
    assert report.overall == "healthy", report.verdicts
    assert report.first is None


def test_a_history_without_records_is_healthy() -> None:
    assert judge_health(GradientHistory.of([])).verdicts == ()


def test_every_rule_has_a_remedy_and_every_textbook_word_is_used() -> None:
    assert all(rule.remedy for rule in RULES)
    assert {word for rule in RULES for word in rule.words} == {"exploding", "vanishing", "dead"}


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
def test_a_start_that_spreads_like_the_ratings_is_too_large(ratio: float, severity: str) -> None:
    def widen(record: InitialRecord) -> InitialRecord:
        return replace(record, prediction_std=ratio * record.rating_std)

    verdict = found(InitialRecord, widen, "initialisation_too_large")
    assert (verdict.severity, verdict.first_step) == (severity, 0)
    assert verdict.value == pytest.approx(ratio)


def test_a_trained_start_spreads_without_being_too_large() -> None:
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


def test_a_table_that_has_a_gradient_and_stands_still_is_frozen() -> None:
    verdict = found(StepSample, table("movie_biases", update_norm=0.0), "frozen_table")
    assert (verdict.severity, verdict.table, verdict.first_step) == ("error", "movie_biases", 1)


@pytest.mark.parametrize(("dead", "severity"), [(1, "warning"), (300, "error")])
def test_dead_rows_are_named(dead: int, severity: str) -> None:
    change = table("user_embeddings", dead_rows=dead, dead_row_examples=(4, 9))
    verdict = found(EpochGradients, change, "dead_rows")
    assert (verdict.severity, verdict.ids, verdict.words) == (severity, ("user row 4", "user row 9"), ("dead",))


def test_ids_are_those_of_the_source() -> None:
    records = [
        table("movie_embeddings", dead_rows=30, dead_row_examples=(2,))(one) if isinstance(one, EpochGradients) else one
        for one in history(refit=False)
    ]
    report = judge_health(GradientHistory.of(records), ids=lambda name, row: f"{name[0]}{row * 100}")
    assert report.verdicts[0].ids == ("movie m200",)


@pytest.mark.parametrize(("cold", "severity"), [(100, "warning"), (400, "error")])
def test_rows_without_ratings_lack_coverage(cold: int, severity: str) -> None:
    def cool(record: InitialRecord) -> InitialRecord:
        return replace(record, cold_rows=record.cold_rows | {"user_embeddings": cold})

    verdict = found(InitialRecord, cool, "id_coverage")
    assert (verdict.severity, verdict.table) == (severity, "user_embeddings")


def test_an_error_above_that_of_no_training_means_the_learning_rate_is_too_high() -> None:
    def rise(block: StepBlock) -> StepBlock:
        return replace(block, mean_squared_error=block.mean_squared_error * (5 if block.epoch > 1 else 1))

    verdict = found(StepBlock, rise, "learning_rate_too_high")
    assert (verdict.severity, verdict.first_step) == ("error", 65)


def test_steps_too_small_to_get_anywhere_mean_the_learning_rate_is_too_low() -> None:
    records = [
        replace(one, learning_rate=1e-6)
        if isinstance(one, StepSample)
        else replace(one, mean_squared_error=np.full(64, 1.12**2))
        if isinstance(one, StepBlock)
        else one
        for one in history(refit=False)
    ]
    first = judge_health(GradientHistory.of(records)).first
    assert first is not None
    assert (first.rule, first.severity, first.words) == ("learning_rate_too_low", "warning", ("vanishing",))


@pytest.mark.parametrize(("scale", "severity"), [(1.0, "info"), (1000.0, "warning")])
def test_clipping_is_a_warning_only_where_the_loss_is_no_mean(scale: float, severity: str) -> None:
    def clip(block: StepBlock) -> StepBlock:
        half = np.full(len(block.loss), 0.5)
        return replace(block, clip_coefficient=half, total_norm=block.total_norm * scale)

    assert found(StepBlock, clip, "clipping").severity == severity


def far_rating(block: StepBlock, epochs: tuple[int, ...]) -> StepBlock:
    """Put one rating, the same in each, 50 off its prediction in these epochs."""
    if block.epoch not in epochs:
        return block
    largest, user, movie = (
        column.copy() for column in (block.largest_error, block.largest_error_user, block.largest_error_movie)
    )
    largest[7 + block.epoch], user[7 + block.epoch], movie[7 + block.epoch] = 50.0, 11, 22
    return replace(block, largest_error=largest, largest_error_user=user, largest_error_movie=movie)


def test_an_error_that_comes_back_with_its_rating_is_an_outlier_label() -> None:
    verdict = found(StepBlock, lambda block: far_rating(block, (2, 4)), "outlier_labels")
    assert verdict.ids == ("user row 11", "movie row 22")
    assert verdict.first_step == 64 + 10


def test_an_error_that_does_not_come_back_is_no_outlier_label() -> None:
    assert "outlier_labels" not in {
        one.rule for one in judged(StepBlock, lambda block: far_rating(block, (2,))).verdicts
    }


def test_a_batch_far_above_its_epoch_is_a_spike() -> None:
    def spike(block: StepBlock) -> StepBlock:
        squares = block.mean_squared_error.copy()
        squares[20] *= 100 if block.epoch == 3 else 1
        return replace(block, mean_squared_error=squares)

    verdict = found(StepBlock, spike, "loss_spike")
    assert (verdict.severity, verdict.first_step) == ("warning", 2 * 64 + 21)


def test_dot_products_below_their_start_have_collapsed() -> None:
    verdict = found(EpochGradients, lambda record: replace(record, dot_std=1e-9), "collapsed_embeddings")
    assert (verdict.severity, verdict.words) == ("error", ("vanishing",))


@pytest.mark.parametrize(("first_error", "severity"), [(10.0, "warning"), (1.0, "info")])
def test_a_shared_vector_is_a_fault_where_a_mean_was_left_to_learn(first_error: float, severity: str) -> None:
    leak = table("movie_embeddings", mean_leak=0.9)

    def change(one: Any) -> Any:
        if isinstance(one, StepBlock) and one.epoch == 1:
            return replace(one, mean_squared_error=np.r_[first_error, one.mean_squared_error[1:]])
        return leak(one) if isinstance(one, EpochGradients) else one

    verdicts = {one.rule: one for one in judge_health(GradientHistory.of(map(change, history(refit=False)))).verdicts}
    assert (verdicts["mean_leak"].severity, verdicts["mean_leak"].table) == (severity, "movie_embeddings")


def test_a_table_that_stood_still_for_an_epoch_is_frozen() -> None:
    def freeze(record: EpochGradients) -> EpochGradients:
        return table("user_biases", frozen=record.epoch == 2)(record)

    assert found(EpochGradients, freeze, "frozen_table").first_step == 65


def test_cold_rows_that_move_drift() -> None:
    change = table("user_embeddings", cold_rows=3, cold_drift=0.4, cold_row_examples=(1, 2, 3))
    verdict = found(EpochGradients, change, "cold_row_drift")
    assert (verdict.severity, len(verdict.ids)) == ("warning", 3)


def test_ghost_updates_are_information() -> None:
    assert found(StepSample, table("user_embeddings", ghost_share=0.6), "ghost_updates").severity == "info"


def test_a_gradient_lost_in_noise_is_information() -> None:
    def lose(sample: StepSample) -> StepSample:
        return replace(sample, signal_square=-0.01 if sample.epoch > 3 else 0.01)

    verdict = found(StepSample, lose, "noise_floor")
    assert (verdict.severity, verdict.first_step) == ("info", 3 * 64 + 1)


def test_a_model_no_better_than_the_mean_has_no_signal() -> None:
    verdict = found(Outcome, lambda one: replace(one, val_rmse=(1.2, 1.1)), "no_signal")
    assert verdict.severity == "error"


def test_tastes_that_explain_nothing_add_nothing() -> None:
    records = [
        replace(one, taste_score=0.5)
        if isinstance(one, Outcome)
        else replace(one, learning_rate=0.01)
        if isinstance(one, StepSample)
        else one
        for one in history(refit=False)
    ]
    first = judge_health(GradientHistory.of(records)).first
    assert first is not None
    assert (first.rule, first.severity) == ("embeddings_add_nothing", "warning")


def test_a_short_training_without_tastes_is_only_information() -> None:
    assert found(Outcome, lambda one: replace(one, taste_score=0.5), "embeddings_add_nothing").severity == "info"


def test_a_cause_is_at_least_as_severe_as_what_follows_and_stands_above_it() -> None:
    def change(one: Any) -> Any:
        if isinstance(one, StepBlock):
            return far_rating(one, (1, 2, 3))
        return replace(one, val_rmse=(1.2,)) if isinstance(one, Outcome) else one

    verdicts = judge_health(GradientHistory.of(map(change, history(refit=False)))).verdicts
    assert [verdict.rule for verdict in verdicts[:2]] == ["outlier_labels", "no_signal"]
    assert verdicts[0].severity == "error"


def test_a_report_is_plain_json_and_rows() -> None:
    report = judged(EpochGradients, lambda record: replace(record, dot_std=1e-9))
    plain = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert plain["verdict"] == "error"
    assert plain["verdicts"][0]["rule"] == report.as_rows()[0]["rule"] == "collapsed_embeddings"
    assert report.as_rows()[0]["textbook"] == "vanishing"


def test_every_threshold_is_documented_and_changes_the_digest() -> None:
    for field in fields(Thresholds):
        assert f"        {field.name}:" in (Thresholds.__doc__ or ""), field.name
    assert replace(THRESHOLDS, spike=21.0).digest() != THRESHOLDS.digest()


def test_an_error_stops_a_training_at_the_end_of_its_epoch_where_it_is_to() -> None:
    records = [
        replace(one, prediction_std=3.0) if isinstance(one, InitialRecord) else one for one in history(refit=False)
    ]
    for record in records:
        HealthWatch(HealthSettings())(record)
    watch = HealthWatch(HealthSettings(on_unhealthy="stop"))
    with pytest.raises(UnhealthyError, match=r"epoch 1: initialisation_too_large .*exploding.*train.init_std.*warn"):
        deque(map(watch, records), maxlen=0)


def test_a_sound_training_is_not_stopped() -> None:
    watch = HealthWatch(HealthSettings(on_unhealthy="stop"))
    for record in history():
        watch(record)
