"""The rules on val, on made-up histories with one measurement changed."""

from dataclasses import replace

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


def test_a_short_training_without_tastes_gets_only_information() -> None:
    assert found(Outcome, lambda one: replace(one, taste_score=0.5), "embeddings_add_nothing").severity == "info"
