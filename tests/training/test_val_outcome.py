"""The outcome of a fit: RMSE on val compared with baselines, and the taste score."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from cfmodel.gradients.recording.gradient_records import Outcome
from cfmodel.training.fit import FitResult
from cfmodel.training.val_outcome import taste_score


@pytest.fixture
def outcome_and_result(planted: Any, fitted: Callable[..., FitResult]) -> tuple[Outcome, FitResult]:
    records: list[Any] = []
    result = fitted(on_record=records.append, epochs=4)
    (outcome,) = (record for record in records if isinstance(record, Outcome))
    return outcome, result


def test_a_fit_ends_with_its_val_rmse_and_those_of_the_baselines(
    outcome_and_result: tuple[Outcome, FitResult], planted: Any
) -> None:
    outcome, result = outcome_and_result
    assert len(outcome.val_rmse) == 4
    assert outcome.best == result.best_val_rmse
    mean = planted.train.rating.astype(np.float64).mean()
    assert outcome.global_mean_rmse == pytest.approx(np.sqrt(np.mean((planted.val.rating - mean) ** 2)))
    assert planted.noise < outcome.damped_bias_rmse < outcome.global_mean_rmse
    assert outcome.val_rows == len(planted.val)


def test_planted_tastes_score_far_above_chance(outcome_and_result: tuple[Outcome, FitResult]) -> None:
    assert outcome_and_result[0].taste_score > 10


def test_tastes_of_shuffled_movies_score_like_chance(
    outcome_and_result: tuple[Outcome, FitResult], planted: Any
) -> None:
    rng = np.random.default_rng(0)
    model = outcome_and_result[1].model
    train, val = (part.standardized(model.scale) for part in (planted.train, planted.val))
    with torch.no_grad():
        model.movie_embeddings.weight.copy_(model.movie_embeddings.weight[torch.from_numpy(rng.permutation(100))])
    assert abs(taste_score(model, train, val)) < 4


def test_a_bias_inside_the_embeddings_is_no_taste(outcome_and_result: tuple[Outcome, FitResult], planted: Any) -> None:
    model = outcome_and_result[1].model
    train, val = (part.standardized(model.scale) for part in (planted.train, planted.val))
    with torch.no_grad():
        model.user_embeddings.weight.fill_(1.0)
    assert taste_score(model, train, val) == pytest.approx(0, abs=1e-6)


def test_without_val_there_is_no_outcome(fitted: Callable[..., FitResult]) -> None:
    records: list[Any] = []
    fitted(val=False, on_record=records.append, epochs=1)
    assert not any(isinstance(record, Outcome) for record in records)
