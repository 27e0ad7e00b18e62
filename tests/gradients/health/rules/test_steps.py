"""The rules on steps, on made-up histories with one measurement changed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from histories import history
from judgements import far_rating, found, judged

from cfmodel.gradients.health.judge import judge_health
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import StepBlock, StepSample


def test_an_error_above_that_of_the_untrained_model_means_the_learning_rate_is_too_high() -> None:
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


def test_small_steps_that_lower_the_error_of_the_first_ones_are_not_too_small() -> None:
    """The error of a start in closed form is below the ratings' variance: only a fall from there counts."""
    records = [
        replace(one, learning_rate=1e-6)
        if isinstance(one, StepSample)
        else replace(one, mean_squared_error=np.full(64, 0.6 if one.epoch == 1 else 0.5))
        if isinstance(one, StepBlock)
        else one
        for one in history(refit=False)
    ]
    assert "learning_rate_too_low" not in {one.rule for one in judge_health(GradientHistory.of(records)).verdicts}


@pytest.mark.parametrize(("scale", "severity"), [(1.0, "info"), (1000.0, "warning")])
def test_clipping_is_a_warning_only_if_the_loss_is_not_a_mean(scale: float, severity: str) -> None:
    def clip(block: StepBlock) -> StepBlock:
        half = np.full(len(block.loss), 0.5)
        return replace(block, clip_coefficient=half, total_norm=block.total_norm * scale)

    assert found(StepBlock, clip, "clipping").severity == severity


def test_an_error_that_recurs_with_its_rating_is_an_outlier_label() -> None:
    verdict = found(StepBlock, lambda block: far_rating(block, (2, 4)), "outlier_labels")
    assert verdict.ids == ("user row 11", "movie row 22")
    assert verdict.first_step == 64 + 10


def test_an_error_that_does_not_recur_is_not_an_outlier_label() -> None:
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


@pytest.mark.parametrize("biases", [1, 2, 3])
def test_the_typical_error_follows_from_the_gradients_for_any_number_of_biases(biases: int) -> None:
    """A rating with an error of 1 has a gradient of 2 for each table of single numbers."""
    tables = {"vectors": (600, 8), **{f"biases {number}": (600, 1) for number in range(biases)}}

    def change(one: Any) -> Any:
        if isinstance(one, StepSample):
            return replace(one, per_sample_norm=np.full(5, 2 * np.sqrt(biases)))
        return far_rating(one, (2, 4)) if isinstance(one, StepBlock) else one

    records = GradientHistory.of(map(change, history(refit=False, tables=tables)))
    verdict = next(one for one in judge_health(records).verdicts if one.rule == "outlier_labels")
    assert verdict.value == pytest.approx(50 * 0.6745)
