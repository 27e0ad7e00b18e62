"""The monitor over whole trainings: its cost, its schedule, and resuming it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from cfmodel.column_statistics import RatingScale
from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import DivergedError
from cfmodel.gradients.recording.gradient_records import (
    EpochGradients,
    InitialRecord,
    MonitorCost,
    StepBlock,
    StepSample,
)
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import DeviceRatings
from cfmodel.training.engines.autograd import AutogradEngine
from cfmodel.training.engines.step import update
from cfmodel.training.fit import fit
from cfmodel.training.fitting import Fitting
from cfmodel.training.planning.plan import TrainingPlan

CPU = torch.device("cpu")
USERS, MOVIES = 50, 30
SETTINGS = TrainSettings(embedding_dim=4, batch_size=32, epochs=6, regularization=0.1, refit=False)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def ratings(number: int = 640, seed: int = 0) -> RatingArrays:
    rng = np.random.default_rng(seed)
    user, movie = rng.integers(0, USERS, number), rng.integers(0, MOVIES, number)
    return RatingArrays(user.astype(np.int32), movie.astype(np.int32), rng.integers(1, 6, number).astype(np.float32))


def plan_of(train: RatingArrays, settings: TrainSettings, **how: Any) -> TrainingPlan:
    changed = settings.model_copy(update={"regularization": 0.1})
    return TrainingPlan.of(train, None, num_users=USERS, num_movies=MOVIES, settings=changed, batch_size=32, **how)


def monitored(train: RatingArrays, settings: TrainSettings = SETTINGS, **monitor: Any) -> list[Any]:
    records: list[Any] = []
    fit(
        TrainingPlan.of(
            train,
            None,
            num_users=USERS,
            num_movies=MOVIES,
            settings=settings,
            device=CPU,
            monitor=MonitorSettings(**monitor),
        ),
        on_record=records.append,
    )
    return records


def of(kind: type, records: list[Any]) -> list[Any]:
    return [record for record in records if isinstance(record, kind)]


class Readings(TorchDispatchMode):
    """Counts the operations that would wait for a device to read a number back."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "bincount", "equal")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(name in str(func) for name in self.WAITING):
            self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


def test_a_step_that_is_not_sampled_reads_nothing_back() -> None:
    train = ratings()
    settings = SETTINGS.model_copy(update={"engine": "autograd", "adam": "all_rows"})
    fitting = Fitting(plan_of(train, settings, monitor=MonitorSettings(sample_every=64)))
    fitting.start_monitor([].append)
    model = fitting.engine.model
    monitor = fitting.monitor
    assert monitor is not None
    assert isinstance(fitting.engine, AutogradEngine)
    on_device = DeviceRatings.of(train, CPU)
    batches = list(on_device.batches(32))
    monitor.begin_epoch(
        1, len(batches), {"user": on_device.user_idx, "movie": on_device.movie_idx}, [len(batch) for batch in batches]
    )
    readings, sampled, penalty = Readings(), 0, fitting.plan.penalty_weights()
    for batch in batches:
        probe = monitor.probe(0.003)
        sampled += probe is not None
        with readings:
            loss, _ = update(model, fitting.engine.optimizer, batch, penalty=penalty, max_grad_norm=1.0)
            monitor.add_errors(loss.error.detach())
    assert readings.seen == []
    assert sampled == 4  # steps 1, 4 and 16, and the last of the epoch


def test_the_last_record_is_the_cost_with_the_number_of_samples() -> None:
    records = monitored(ratings())
    (cost,) = of(MonitorCost, records)
    assert records.index(cost) == len(records) - 1
    assert cost.overhead_fraction == pytest.approx(cost.seconds / cost.training_seconds)
    assert cost.samples == len(of(StepSample, records))
    assert cost.sample_every & (cost.sample_every - 1) == 0


def test_the_first_epochs_and_the_last_are_measured_whatever_the_budget() -> None:
    records = monitored(ratings(), SETTINGS.model_copy(update={"engine": "autograd"}), budget_seconds=1e-6)
    assert [record.epoch for record in of(EpochGradients, records)] == [1, 2, 6]
    assert [record.step for record in of(StepSample, records)] == [1, 4, 16, 20, 40, 80, 120]
    touched = [int(block.rows_touched["user_biases"].min()) for block in of(StepBlock, records)]
    assert min(touched[:2]) > 0
    assert touched[2:] == [-1] * 4  # counting takes time here; the fused engine knows the numbers anyway


def test_every_epoch_is_measured_if_the_budget_allows() -> None:
    records = monitored(ratings(), budget_seconds=60.0)
    assert [record.epoch for record in of(EpochGradients, records)] == [1, 2, 3, 4, 5, 6]
    assert [record.step for record in of(StepSample, records)] == sorted({1, 4, 20, 40, *range(16, 121, 16), 120})


def test_the_first_record_has_the_spreads_of_predictions_and_ratings() -> None:
    train = ratings()
    record = monitored(train, SETTINGS.model_copy(update={"bias_start": "zero"}))[0]
    assert isinstance(record, InitialRecord)
    assert record.rating_std == pytest.approx(1.0, rel=1e-5)
    lowest, highest = (train.rating.min(), train.rating.max()) - np.mean(train.rating)
    assert record.rating_min == pytest.approx(lowest / np.std(train.rating), rel=1e-5)
    assert record.rating_max == pytest.approx(highest / np.std(train.rating), rel=1e-5)
    assert 0 < record.prediction_std < 0.01
    assert record.planned_steps == 120
    assert record.rows == {"user_embeddings": 50, "user_biases": 50, "movie_embeddings": 30, "movie_biases": 30}
    assert all(shares.sum() == pytest.approx(1) for shares in record.ratings_by_decile.values())


def test_biases_in_closed_form_are_no_part_of_the_spread_of_initial_predictions() -> None:
    train = ratings()
    found = [
        monitored(train, SETTINGS.model_copy(update={"bias_start": start, "init_std": 0.3}))[0].prediction_std
        for start in ("closed_form", "zero")
    ]
    assert found[0] == found[1] > 0.05


def test_the_steps_of_a_divergence_are_recorded_before_the_error() -> None:
    train = ratings()
    # Its square is beyond float32, unless ratings are standardized or biases start in closed form.
    train.rating[100] = 3e20
    settings, records = SETTINGS.model_copy(update={"bias_start": "zero"}), []
    with pytest.raises(DivergedError):
        fit(
            TrainingPlan.of(
                train, None, num_users=USERS, num_movies=MOVIES, settings=settings, device=CPU, scale=RatingScale()
            ),
            on_record=records.append,
        )
    (block,) = of(StepBlock, records)
    first = int(block.finite.argmin())
    assert not block.finite[first]
    assert block.largest_error_user[first] == train.user_idx[100]
    assert block.largest_error_movie[first] == train.movie_idx[100]


def test_a_resumed_phase_has_the_same_samples_and_the_same_records_of_the_tables() -> None:
    train, records, resumed = ratings(), [], []

    def fitting_of(into: list[Any], state: dict[str, Any] | None = None) -> Fitting:
        fitting = Fitting(plan_of(train, SETTINGS))
        if state is not None:
            fitting.restore(state)
        fitting.start_monitor(into.append, state=state and state["monitor"])
        return fitting

    def run(fitting: Fitting, epochs: int, into: list[Any]) -> None:
        for _ in range(epochs):
            fitting.run_epoch(into.append)

    whole = fitting_of(records)
    run(whole, 2, records)
    state = whole.state()
    other = fitting_of(resumed, state)
    run(whole, 4, records)  # does not change the state that was taken
    run(other, 4, resumed)
    later = [record for record in records if getattr(record, "epoch", 0) > 2]
    ours, theirs = of(StepSample, later), of(StepSample, resumed)
    assert [sample.step for sample in theirs] == [sample.step for sample in ours]
    for one, two in zip(ours, theirs, strict=True):
        assert one.noise_scale == two.noise_scale
        for table in CollaborativeFiltering.table_names():
            np.testing.assert_array_equal(one.tables[table].gradient_counts, two.tables[table].gradient_counts)
    for one, two in zip(of(EpochGradients, later), of(EpochGradients, resumed), strict=True):
        assert (one.epoch, one.step, one.dot_std) == (two.epoch, two.step, two.dot_std)
        assert not two.tables["user_biases"].frozen


def test_recording_a_small_training_costs_little() -> None:
    # Loose, as machines differ: the least processor time of three trainings, at most 0.2 s or the time of the training
    # itself with autograd. benchmarks/monitor.py measures it.
    settings = SETTINGS.model_copy(update={"batch_size": 512, "embedding_dim": 50})

    def costs(engine: str) -> list[MonitorCost]:
        chosen = settings.model_copy(update={"engine": engine})
        return [of(MonitorCost, monitored(ratings(20_000), chosen))[0] for _ in range(3)]

    training = min(cost.training_seconds for cost in costs("autograd"))
    assert min(cost.seconds for cost in costs("auto")) < max(0.2, training)


def test_nothing_is_recorded_if_the_monitor_is_off() -> None:
    records = monitored(ratings(), enabled=False)
    assert not of(InitialRecord, records)
    assert not of(MonitorCost, records)
