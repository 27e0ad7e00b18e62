"""A model in training: validation and the state to resume from."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from cfmodel.config import TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.training.batching.batches import DeviceRatings
from cfmodel.training.fitting import Fitting, clamped_rmse
from cfmodel.training.planning.plan import TrainingPlan


def test_the_clamped_rmse_worked_by_hand() -> None:
    one = RatingArrays(np.zeros(1, np.int32), np.zeros(1, np.int32), np.array([4.0], np.float32))
    model = TrainingPlan.of(one, None, num_users=1, num_movies=1, settings=TrainSettings(init_std=0)).initial_model()
    with torch.no_grad():
        model.user_biases.weight.fill_(3.0)
    # Scores 3, clamped to 1, and 0 for a cold user: errors 1 and 2, in standard deviations.
    ratings = DeviceRatings(torch.tensor([0, -1]), torch.tensor([0, 0]), torch.tensor([0.0, -2.0]))
    assert clamped_rmse(model, ratings, low=-3, high=1) == pytest.approx(math.sqrt(2.5))


def test_a_restored_state_is_the_state(planted: Any) -> None:
    plan = TrainingPlan.of(
        planted.train, planted.val, num_users=200, num_movies=100, settings=TrainSettings(embedding_dim=4, epochs=3)
    )
    first, second = Fitting(plan), Fitting(plan)
    for _ in range(2):
        first.run_epoch(lambda record: None)
    second.restore(first.state())
    assert (second.epoch, second.step, second.position) == (2, first.step, "epoch 2")
    assert (second.val_rmse, second.stopping) == (first.val_rmse, first.stopping)
    for fitting in (first, second):
        fitting.run_epoch(lambda record: None)
    for mine, theirs in zip(second.best_model().parameters(), first.best_model().parameters(), strict=True):
        assert torch.equal(mine, theirs)
