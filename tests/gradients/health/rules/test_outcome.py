"""The rules on val, on made-up histories with one measurement changed."""

from dataclasses import replace

import pytest
from histories import history
from judgements import found

from cfmodel.gradients.health.judge import judge_health
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import Outcome, StepSample


def test_a_model_no_better_than_the_mean_has_no_signal() -> None:
    verdict = found(Outcome, lambda one: replace(one, val_rmse=(1.2, 1.1)), "no_signal")
    assert verdict.severity == "error"


def test_embeddings_that_explain_nothing_on_val_add_nothing() -> None:
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


@pytest.mark.parametrize(("ratio", "severity"), [(1.02, "info"), (1.2, "warning")])
def test_a_model_far_behind_biases_is_a_warning(ratio: float, severity: str) -> None:
    def behind(one: Outcome) -> Outcome:
        best = ratio * one.damped_bias_rmse
        return replace(one, val_rmse=(best, best), start_rmse=best, global_mean_rmse=2 * best)

    verdict = found(Outcome, behind, "embeddings_add_nothing")
    assert (verdict.severity, verdict.value) == (severity, pytest.approx(ratio))


def test_the_start_takes_part_in_the_best_rmse() -> None:
    outcome = Outcome("fit", (0.9, 0.8), 500, 1.2, 0.95, 20.0, start_rmse=0.7)
    assert outcome.best == 0.7
    assert replace(outcome, start_rmse=0.85).best == 0.8


def test_a_short_training_without_tastes_gets_only_information() -> None:
    assert found(Outcome, lambda one: replace(one, taste_score=0.5), "embeddings_add_nothing").severity == "info"
