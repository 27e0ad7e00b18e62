"""The plan of a phase: defaults and the initial model."""

from typing import Any

import numpy as np
import pytest
import torch

from cfmodel.column_statistics import RatingScale
from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import DataError
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.row_counts import RowCounts
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.planning.prior import estimate_biases


def initial(planted: Any, **settings: Any) -> CollaborativeFiltering:
    plan = TrainingPlan.of(planted.train, None, num_users=200, num_movies=100, settings=TrainSettings(**settings))
    return plan.initial_model()


def test_biases_start_in_closed_form_around_their_own_level(planted: Any) -> None:
    model = initial(planted, init_std=0.0)
    standardized = planted.train.standardized(RatingScale.of(planted.train.rating))
    best = estimate_biases(standardized, RowCounts.of(standardized, num_users=200, num_movies=100))
    for side in ("user", "movie"):
        found = model.weights()[f"{side}_biases"].detach()[:, 0].numpy()
        assert found.tolist() == best.biases[side].astype(np.float32).tolist()
        assert abs(found.mean()) < 1e-6
    expected = model.scale.mean + model.scale.std * (best.biases["user"][:100] + best.biases["movie"])
    np.testing.assert_allclose(model(torch.arange(100), torch.arange(100)).detach().numpy(), expected, rtol=1e-5)
    mean = RatingScale.of(planted.train.rating)
    assert model.scale.mean == pytest.approx(mean.in_rating_units(best.level))
    assert model.scale.std == mean.std


def test_without_it_the_initial_model_predicts_little_more_than_the_global_mean(planted: Any) -> None:
    model = initial(planted, bias_start="zero")
    assert model.scale == RatingScale.of(planted.train.rating)
    assert model.global_mean.item() == pytest.approx(planted.train.rating.mean(), rel=1e-6)
    assert not model.user_biases.weight.any()
    assert not model.movie_biases.weight.any()
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
