"""The loop: the same every time, near the floor, and loud when it breaks."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from cfmodel.config import TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import DataError, DivergedError
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import DeviceRatings
from cfmodel.training.epoch_records import EpochRecord, StepProgress
from cfmodel.training.fit import FitResult, fit
from cfmodel.training.fitting import clamped_rmse
from cfmodel.training.planning.plan import TrainingPlan


def curve(run: Callable[..., FitResult], **settings: Any) -> list[EpochRecord]:
    """The records of a training, without what the clock says."""
    records: list[object] = []
    run(on_record=records.append, **settings)
    epochs = [record for record in records if isinstance(record, EpochRecord)]
    return [replace(record, seconds=0, ratings_per_second=0) for record in epochs]


def test_the_same_seed_gives_the_same_curve_to_the_last_bit(fitted: Callable[..., FitResult]) -> None:
    assert curve(fitted, epochs=2) == curve(fitted, epochs=2)


def test_the_number_of_threads_does_not_change_the_curve(fitted: Callable[..., FitResult]) -> None:
    alone = curve(fitted, epochs=1, batch_size=1024)
    torch.set_num_threads(2)
    assert curve(fitted, epochs=1, batch_size=1024) == alone


def test_another_seed_gives_another_curve(fitted: Callable[..., FitResult]) -> None:
    assert curve(fitted, epochs=1, seed=1) != curve(fitted, epochs=1)


def test_training_leaves_the_global_random_state_alone(fitted: Callable[..., FitResult]) -> None:
    before = torch.random.get_rng_state()
    fitted(epochs=1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_training_leaves_its_input_alone(fitted: Callable[..., FitResult], planted: Any) -> None:
    before = planted.train.rating.copy()
    fitted(epochs=1)
    assert np.array_equal(planted.train.rating, before)


def test_the_planted_noise_is_nearly_reached(fitted: Callable[..., FitResult], planted: Any) -> None:
    result = fitted()
    # 300 rows of 3 numbers from 13,500 ratings: least squares on the truth's own form adds 3 %, and biases
    # alone stand 70 % above.
    assert result.best_val_rmse is not None
    assert planted.noise < result.best_val_rmse < 1.13 * planted.noise


def test_the_initial_model_knows_the_global_mean_and_little_else(planted: Any) -> None:
    model = TrainingPlan.of(
        planted.train, None, num_users=200, num_movies=100, settings=TrainSettings()
    ).initial_model()
    assert model.global_mean.item() == pytest.approx(planted.train.rating.mean(), rel=1e-6)
    predictions = model(torch.arange(100), torch.arange(100))
    assert (predictions - model.global_mean).abs().max() < 0.01


def test_each_epoch_tells_its_losses_norms_and_pace(fitted: Callable[..., FitResult]) -> None:
    records: list[object] = []
    result = fitted(epochs=2, batch_size=1000, on_record=records.append)
    epochs = [record for record in records if isinstance(record, EpochRecord)]
    assert [(record.phase, record.epoch, record.epochs, record.step) for record in epochs] == [
        ("fit", 1, 2, 14),
        ("fit", 2, 2, 28),
    ]
    for record in epochs:
        assert tuple(record.grad_norms) == CollaborativeFiltering.table_names()
        # The norm of a mean of vectors is at most the mean of their norms, and at least each part's.
        assert max(record.grad_norms.values()) <= record.total_grad_norm <= sum(record.grad_norms.values())
        assert record.train_loss > record.train_rmse**2
        assert record.ratings_per_second > 0
    assert epochs[1].train_loss < epochs[0].train_loss
    assert result.batch_size == 1000
    progress = [record for record in records if isinstance(record, StepProgress)]
    assert [record.fraction for record in progress if record.epoch == 1][-1] == 1.0


def test_clipping_is_counted(fitted: Callable[..., FitResult]) -> None:
    assert [record.clipped_fraction for record in curve(fitted, epochs=1, max_grad_norm=1e-6)] == [1.0]
    assert [record.clipped_fraction for record in curve(fitted, epochs=1, max_grad_norm=1e6)] == [0.0]


def test_the_clamped_rmse_worked_by_hand() -> None:
    one = RatingArrays(np.zeros(1, np.int32), np.zeros(1, np.int32), np.array([4.0], np.float32))
    model = TrainingPlan.of(one, None, num_users=1, num_movies=1, settings=TrainSettings(init_std=0)).initial_model()
    with torch.no_grad():
        model.user_biases.weight.fill_(3.0)
    # Predictions 4 + 3 = 7, clamped to 5, and 4 for a cold user: errors 1 and 2.
    ratings = DeviceRatings(torch.tensor([0, -1]), torch.tensor([0, 0]), torch.tensor([4.0, 2.0]))
    assert clamped_rmse(model, ratings, rating_min=1, rating_max=5) == pytest.approx(math.sqrt(2.5))


def test_cold_rows_in_val_are_answered(planted: Any, fitted: Callable[..., FitResult]) -> None:
    val = replace(planted.val, user_idx=np.full_like(planted.val.user_idx, -1))
    settings = TrainSettings(epochs=1)
    sizes = {"num_users": 200, "num_movies": 100}
    result = fit(TrainingPlan.of(planted.train, val, settings=settings, device=torch.device("cpu"), **sizes))
    assert result.best_val_rmse is not None
    assert math.isfinite(result.best_val_rmse)


def test_no_ratings_at_all_are_refused() -> None:
    empty = RatingArrays(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))
    with pytest.raises(DataError, match="train: 0 ratings"):
        fit(
            TrainingPlan.of(
                empty, None, num_users=1, num_movies=1, settings=TrainSettings(), device=torch.device("cpu")
            )
        )


def test_a_loss_that_overflows_ends_the_training_with_its_step_and_a_remedy(planted: Any) -> None:
    rating = planted.train.rating.copy()
    rating[5] = 1e30
    train = replace(planted.train, rating=rating)
    settings = TrainSettings(batch_size=1000)
    with pytest.raises(DivergedError, match=r"epoch 1: .* from step \d+ of 14 .*train\.learning_rate.*ratings"):
        fit(
            TrainingPlan.of(
                train, planted.val, num_users=200, num_movies=100, settings=settings, device=torch.device("cpu")
            )
        )


def test_steps_far_too_large_end_the_training(fitted: Callable[..., FitResult]) -> None:
    with pytest.raises(DivergedError, match=r"lower train\.learning_rate"):
        fitted(learning_rate=10.0, schedule="constant", patience=50, init_std=1e18)
