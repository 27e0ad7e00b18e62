"""The plan of a phase: defaults and the initial model."""

from typing import Any

import numpy as np
import pytest
import torch

from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import DataError
from cfmodel.training.planning.plan import TrainingPlan


def test_the_initial_model_predicts_little_more_than_the_global_mean(planted: Any) -> None:
    model = TrainingPlan.of(
        planted.train, None, num_users=200, num_movies=100, settings=TrainSettings()
    ).initial_model()
    assert model.global_mean.item() == pytest.approx(planted.train.rating.mean(), rel=1e-6)
    predictions = model(torch.arange(100), torch.arange(100))
    assert (predictions - model.global_mean).abs().max() < 0.01


def test_a_plan_without_training_ratings_is_refused() -> None:
    empty = RatingArrays(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))
    with pytest.raises(DataError, match="train: 0 ratings"):
        TrainingPlan.of(empty, None, num_users=1, num_movies=1, settings=TrainSettings())


def test_defaults_are_resolved_once(planted: Any) -> None:
    off = MonitorSettings(enabled=False)
    plan = TrainingPlan.of(
        planted.train, None, num_users=200, num_movies=100, settings=TrainSettings(epochs=7), epochs=30, monitor=off
    )
    assert (plan.epochs, plan.batch_size, plan.settings.adam, plan.monitor) == (7, 64, "all_rows", None)
    assert plan.at_rate(0.1).settings.learning_rate == pytest.approx(0.1 * plan.settings.learning_rate)
