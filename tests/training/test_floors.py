"""What a fit says of itself at its end: val beside its floors, and the tables as training left them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.gradients.recording.gradient_records import EpochGradients, Outcome
from cfmodel.training.fit import FitResult, fit
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.val_outcome import taste_score


@pytest.fixture
def last_words(planted: Any, fitted: Callable[..., FitResult]) -> tuple[Outcome, FitResult]:
    records: list[Any] = []
    result = fitted(on_record=records.append, epochs=4)
    (outcome,) = (record for record in records if isinstance(record, Outcome))
    return outcome, result


def test_a_fit_ends_with_its_val_rmse_beside_the_floors(last_words: tuple[Outcome, FitResult], planted: Any) -> None:
    outcome, result = last_words
    assert len(outcome.val_rmse) == 4
    assert outcome.best == result.best_val_rmse
    mean = planted.train.rating.astype(np.float64).mean()
    assert outcome.global_mean_rmse == pytest.approx(np.sqrt(np.mean((planted.val.rating - mean) ** 2)))
    assert planted.noise < outcome.damped_bias_rmse < outcome.global_mean_rmse
    assert outcome.val_rows == len(planted.val)


def test_planted_tastes_are_found_far_beyond_chance(last_words: tuple[Outcome, FitResult]) -> None:
    assert last_words[0].taste_score > 10


def test_tastes_of_the_wrong_movies_score_as_chance(last_words: tuple[Outcome, FitResult], planted: Any) -> None:
    rng = np.random.default_rng(0)
    model = last_words[1].model
    with torch.no_grad():
        model.movie_embeddings.weight.copy_(model.movie_embeddings.weight[torch.from_numpy(rng.permutation(100))])
    assert abs(taste_score(model, planted.train, planted.val)) < 4


def test_a_bias_hidden_in_the_embeddings_is_no_taste(last_words: tuple[Outcome, FitResult], planted: Any) -> None:
    model = last_words[1].model
    with torch.no_grad():
        model.user_embeddings.weight.fill_(1.0)
    assert taste_score(model, planted.train, planted.val) == pytest.approx(0, abs=1e-6)


def test_without_val_there_is_no_outcome(fitted: Callable[..., FitResult]) -> None:
    records: list[Any] = []
    fitted(val=False, on_record=records.append, epochs=1)
    assert not any(isinstance(record, Outcome) for record in records)


def test_the_last_look_is_at_the_tables_as_training_left_them(planted: Any) -> None:
    """Val is best after epoch 1 here, and those weights come back at the end: the look must not see them."""
    records: list[Any] = []
    fit(
        TrainingPlan.of(
            planted.train,
            replace(planted.val, rating=7 - planted.val.rating),
            num_users=planted.num_users,
            num_movies=planted.num_movies,
            settings=TrainSettings(epochs=3),
            device=torch.device("cpu"),
            monitor=MonitorSettings(budget_seconds=1e-9, budget_fraction=1e-9),
        ),
        on_record=records.append,
    )
    looks = [record for record in records if isinstance(record, EpochGradients)]
    assert looks[-1].epoch == 3
    assert not any(table.frozen for look in looks for table in look.tables.values())
