"""The training loop: reproducible, close to the planted noise, and with clear errors when it diverges."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from cfmodel.column_statistics import RatingScale
from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import DivergedError
from cfmodel.gradients.recording.gradient_records import EpochGradients, Outcome
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import DeviceRatings
from cfmodel.training.epoch_records import EpochRecord, StartRecord, StepProgress
from cfmodel.training.fit import FitResult, fit
from cfmodel.training.fitting import clamped_rmse
from cfmodel.training.planning.plan import TrainingPlan


def curve(run: Callable[..., FitResult], **settings: Any) -> list[EpochRecord]:
    """The epoch records of a training, without durations."""
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


def test_training_does_not_change_the_global_random_state(fitted: Callable[..., FitResult]) -> None:
    before = torch.random.get_rng_state()
    fitted(epochs=1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_training_does_not_change_its_input(fitted: Callable[..., FitResult], planted: Any) -> None:
    before = planted.train.rating.copy()
    fitted(epochs=1)
    assert np.array_equal(planted.train.rating, before)


def test_the_planted_noise_is_nearly_reached(fitted: Callable[..., FitResult], planted: Any) -> None:
    result = fitted()
    # 300 rows of 3 numbers from 13,500 ratings: least squares on the truth's own form adds 3 %, and biases
    # alone stand 70 % above.
    assert result.best_val_rmse is not None
    assert planted.noise < result.best_val_rmse < 1.13 * planted.noise


def test_each_epoch_records_its_losses_norms_and_speed(fitted: Callable[..., FitResult]) -> None:
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
        assert record.train_loss > (record.train_rmse / result.model.scale.std) ** 2
        assert record.ratings_per_second > 0
    assert epochs[1].train_loss < epochs[0].train_loss
    assert result.batch_size == 1000
    progress = [record for record in records if isinstance(record, StepProgress)]
    assert [record.fraction for record in progress if record.epoch == 1][-1] == 1.0


def test_clipping_is_counted(fitted: Callable[..., FitResult]) -> None:
    assert [record.clipped_fraction for record in curve(fitted, epochs=1, max_grad_norm=1e-6)] == [1.0]
    assert [record.clipped_fraction for record in curve(fitted, epochs=1, max_grad_norm=1e6)] == [0.0]


def test_val_may_have_cold_rows(planted: Any, fitted: Callable[..., FitResult]) -> None:
    val = replace(planted.val, user_idx=np.full_like(planted.val.user_idx, -1))
    settings = TrainSettings(epochs=1)
    sizes = {"num_users": 200, "num_movies": 100}
    result = fit(TrainingPlan.of(planted.train, val, settings=settings, device=torch.device("cpu"), **sizes))
    assert result.best_val_rmse is not None
    assert math.isfinite(result.best_val_rmse)


def test_a_loss_that_overflows_ends_the_training_and_the_error_names_the_step_and_a_remedy(planted: Any) -> None:
    rating = planted.train.rating.copy()
    rating[5] = 1e30
    train = replace(planted.train, rating=rating)
    settings = TrainSettings(batch_size=1000)
    with pytest.raises(DivergedError, match=r"epoch 1: .* from step \d+ of 14 .*train\.learning_rate.*ratings"):
        fit(
            TrainingPlan.of(
                train,
                planted.val,
                num_users=200,
                num_movies=100,
                settings=settings,
                device=torch.device("cpu"),
                scale=RatingScale(),
            )
        )


def test_steps_far_too_large_end_the_training(fitted: Callable[..., FitResult]) -> None:
    with pytest.raises(DivergedError, match=r"lower train\.learning_rate"):
        fitted(learning_rate=10.0, schedule="constant", patience=50, init_std=1e18)


def test_the_weights_of_the_best_epoch_are_kept(fitted: Callable[..., FitResult], planted: Any) -> None:
    records: list[object] = []
    # No penalty and large steps: it overfits within a few epochs.
    result = fitted(regularization=0.0, learning_rate=0.02, schedule="constant", patience=2, on_record=records.append)
    epochs = [record for record in records if isinstance(record, EpochRecord)]
    assert result.stopped_early
    assert result.epochs == len(epochs) == result.best_epoch + 2
    assert result.best_val_rmse == min(record.val_rmse for record in epochs if record.val_rmse is not None)
    assert [record.epoch for record in epochs if record.best][-1] == result.best_epoch
    scale = result.model.scale
    low, high = scale.standardized(np.array([result.rating_min, result.rating_max])).tolist()
    val = DeviceRatings.of(planted.val.standardized(scale), torch.device("cpu"))
    again = scale.std * clamped_rmse(result.model, val, low=low, high=high)
    assert again == pytest.approx(result.best_val_rmse, rel=1e-6)  # ratings were standardized in two steps


def biases_and_noise(count: int, seed: int = 0) -> RatingArrays:
    """Ratings of 80 users and 50 movies that hold no tastes, in rating units."""
    biases, rng = np.random.default_rng(9), np.random.default_rng(seed)
    user, movie = (rng.integers(0, rows, count).astype(np.int32) for rows in (80, 50))
    rating = 3.5 + 0.4 * (biases.normal(size=80)[user] + biases.normal(size=50)[movie]) + rng.normal(size=count)
    return RatingArrays(user, movie, rating.astype(np.float32))


def fitted_to_noise(records: list[object], **settings: Any) -> tuple[TrainingPlan, FitResult]:
    # Steps so large that embeddings learn the noise.
    chosen = TrainSettings(**{"learning_rate": 0.03, "regularization": 0.1, "epochs": 6, "patience": 2, **settings})
    plan = TrainingPlan.of(
        biases_and_noise(3000), biases_and_noise(800, seed=1), num_users=80, num_movies=50, settings=chosen
    )
    return plan, fit(plan, on_record=records.append)


def test_the_start_is_validated_before_the_first_epoch(fitted: Callable[..., FitResult], planted: Any) -> None:
    records: list[object] = []
    result = fitted(epochs=3, on_record=records.append)
    start, *epochs, outcome = (record for record in records if isinstance(record, (StartRecord, EpochRecord, Outcome)))
    assert isinstance(start, StartRecord)
    assert [type(epoch) for epoch in epochs] == [EpochRecord] * 3
    assert isinstance(outcome, Outcome)
    plan = TrainingPlan.of(planted.train, None, num_users=200, num_movies=100, settings=TrainSettings())
    model = plan.initial_model()
    predicted = model(torch.from_numpy(planted.val.user_idx), torch.from_numpy(planted.val.movie_idx)).detach().numpy()
    errors = planted.val.rating - predicted.clip(*plan.rating_range)
    assert start.phase == "fit"
    assert start.val_rmse == pytest.approx(math.sqrt(np.mean(errors**2)), rel=1e-5)
    assert outcome.start_rmse == start.val_rmse
    assert result.best_epoch == 3


def test_where_tastes_are_noise_the_start_is_best_and_its_weights_are_the_result() -> None:
    records: list[object] = []
    plan, result = fitted_to_noise(records)
    (start,) = (record for record in records if isinstance(record, StartRecord))
    epochs = [record for record in records if isinstance(record, EpochRecord)]
    assert (result.best_epoch, result.best_val_rmse) == (0, start.val_rmse)
    assert all(record.val_rmse is not None and record.val_rmse > start.val_rmse for record in epochs)
    assert not any(record.best for record in epochs)
    assert result.adam.step == result.adam.epoch == 0
    for name, table in plan.initial_model().state_dict().items():
        assert torch.equal(result.model.state_dict()[name], table), name


def test_patience_counts_from_the_first_epoch_on_and_not_from_the_start() -> None:
    records: list[object] = []
    _, result = fitted_to_noise(records)
    val_rmse = [record.val_rmse for record in records if isinstance(record, EpochRecord)]
    assert result.stopped_early
    assert result.epochs == 1 + int(np.argmin(val_rmse)) + 2  # type: ignore[arg-type]


def test_without_val_there_is_no_record_of_the_start(fitted: Callable[..., FitResult]) -> None:
    records: list[object] = []
    fitted(val=False, epochs=1, on_record=records.append)
    assert not any(isinstance(record, StartRecord) for record in records)


def test_biases_from_zero_start_at_the_error_of_the_mean(fitted: Callable[..., FitResult], planted: Any) -> None:
    records: list[object] = []
    result = fitted(epochs=1, init_std=0.0, bias_start="zero", on_record=records.append)
    (start,) = (record for record in records if isinstance(record, StartRecord))
    mean = planted.train.rating.astype(np.float64).mean()
    assert result.model.scale.mean == pytest.approx(mean, rel=1e-7)
    assert start.val_rmse == pytest.approx(float(np.sqrt(np.mean((planted.val.rating - mean) ** 2))), rel=1e-6)


def test_without_val_every_epoch_runs_and_the_last_weights_are_the_result(fitted: Callable[..., FitResult]) -> None:
    result = fitted(val=False, epochs=3)
    assert (result.epochs, result.best_epoch, result.best_val_rmse, result.stopped_early) == (3, 3, None, False)


def test_the_last_record_of_the_tables_is_from_before_the_best_weights_are_loaded(planted: Any) -> None:
    """Val is best after epoch 1 here, and those weights are loaded at the end: the record must not be of them."""
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
    tables = [record for record in records if isinstance(record, EpochGradients)]
    assert tables[-1].epoch == 3
    assert not any(table.frozen for record in tables for table in record.tables.values())
