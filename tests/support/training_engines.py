"""Small ratings, and engines of every kind that train on them."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from cfmodel.config import TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.training.engines.autograd import AutogradEngine
from cfmodel.training.engines.cpu.engine import CpuEngine
from cfmodel.training.engines.cuda.engine import CudaEngine
from cfmodel.training.engines.protocol import AdamState, Engine
from cfmodel.training.engines.step_log import StepLog
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.resuming.adam_state import clone_tables

USERS, MOVIES = 40, 25
ADAMS = ["touched_rows", "all_rows"]
#: The engine for CUDA runs on the CPU, too, with the same operations.
FUSED: dict[str, Any] = {"fused": CpuEngine, "fused for cuda": CudaEngine}
ENGINES: dict[str, Any] = {"autograd": AutogradEngine, **FUSED}


def drawn(count: int, users: int = USERS, movies: int = MOVIES, seed: int = 0) -> RatingArrays:
    """Return ratings in which rows repeat, also within a batch."""
    rng = np.random.default_rng(seed)
    user, movie = ((rng.random(count) ** 2 * rows).astype(np.int32) for rows in (users, movies))
    return RatingArrays(user, movie, rng.integers(1, 6, count).astype(np.float32))


def chosen(**changes: Any) -> TrainSettings:
    """Return settings with embeddings and steps large enough to differ."""
    return TrainSettings(**{"embedding_dim": 5, "epochs": 8, "init_std": 0.3, "learning_rate": 0.02, **changes})


def plan_of(
    ratings: RatingArrays, settings: TrainSettings, *, users: int = USERS, movies: int = MOVIES, **options: Any
) -> TrainingPlan:
    """Return the plan of a training with a penalty of 0.5 and the settings otherwise as they are."""
    changed = settings.model_copy(update={"regularization": 0.5, "blocks": options.pop("blocks", 1)})
    plan = TrainingPlan.of(ratings, None, num_users=users, num_movies=movies, settings=changed, **options)
    return replace(plan, settings=changed)


def engine_on(plan: TrainingPlan, kind: Any, dtype: torch.dtype = torch.float64, threads: int = 1) -> Any:
    """Return an engine with the initial model of a plan."""
    options = {"threads": threads} if kind is CpuEngine else {}
    return kind(plan.initial_model().to(dtype), plan.batches(), plan, **options)


def run_epochs(engine: Engine, epochs: int = 2) -> StepLog:
    """Train for some epochs, and return the log of the last one."""
    for epoch in range(1, epochs + 1):
        log = engine.run_epoch(epoch, on_progress=lambda fraction: None)
    return log


def trained(
    kind: Any,
    ratings: RatingArrays,
    *,
    users: int = USERS,
    movies: int = MOVIES,
    batch_size: int = 32,
    dtype: torch.dtype = torch.float64,
    epochs: int = 1,
    blocks: int = 1,
    device: str = "cpu",
    threads: int = 1,
    **settings: Any,
) -> tuple[Any, StepLog]:
    """Train an engine of a kind, and return it with the log of the last epoch."""
    options = {"batch_size": batch_size, "blocks": blocks, "device": torch.device(device)}
    plan = plan_of(ratings, chosen(**settings), users=users, movies=movies, **options)
    engine = engine_on(plan, kind, dtype, threads)
    return engine, run_epochs(engine, epochs)


def snapshot(engine: Engine) -> tuple[dict[str, torch.Tensor], AdamState, StepLog]:
    """Return copies of an engine's weights and of Adam's state, and the log of the epoch so far."""
    adam = engine.adam()
    moments = AdamState(adam.step, clone_tables(adam.first_moments), clone_tables(adam.second_moments))
    return clone_tables(engine.model.state_dict()), moments, engine.log()


def assert_same_tables(engine: Engine, reference: Engine, near: float) -> None:
    """Assert that two engines have the same weights."""
    for name, table in engine.model.named_parameters():
        expected = reference.model.get_parameter(name).data.to(table.device)
        torch.testing.assert_close(
            table.data, expected, rtol=near, atol=near, msg=lambda text, name=name: f"{name} {text}"
        )


def assert_same_log(log: StepLog, expected: StepLog, near: float) -> None:
    """Assert that two logs have the same numbers."""
    assert log.sizes.tolist() == expected.sizes.tolist()
    for name in ("loss", "mean_squared_error", "total_norm", "clip_coefficient", "grad_norms"):
        np.testing.assert_allclose(getattr(log, name), getattr(expected, name), rtol=near, err_msg=name)


def assert_same_training(one: tuple[Engine, StepLog], other: tuple[Engine, StepLog], near: float) -> None:
    """Assert that two trainings have the same weights, Adam's state and log."""
    (engine, log), (reference, expected) = one, other
    assert_same_tables(engine, reference, near)
    adam, wanted = engine.adam(), reference.adam()
    for ours, theirs in (
        (adam.first_moments, wanted.first_moments),
        (adam.second_moments, wanted.second_moments),
    ):
        for name, table in ours.items():
            torch.testing.assert_close(table, theirs[name], rtol=10 * near, atol=near)
    assert adam.step == wanted.step
    assert_same_log(log, expected, max(1e-6, 3 * near))


def assert_same_samples(ours: list[Any], theirs: list[Any]) -> None:
    """Assert that a monitor recorded the same blocks and samples in two trainings."""
    assert [type(record) for record in ours] == [type(record) for record in theirs]
    for one, two in zip(ours, theirs, strict=True):
        if type(one).__name__ == "StepBlock":
            _assert_same_block(one, two)
        if type(one).__name__ == "StepSample":
            _assert_same_sample(one, two)


def _assert_same_block(one: Any, two: Any) -> None:
    assert one.largest_error_user.tolist() == two.largest_error_user.tolist()
    assert one.largest_error_movie.tolist() == two.largest_error_movie.tolist()
    np.testing.assert_allclose(one.largest_error, two.largest_error, rtol=1e-4)
    for table, touched in one.rows_touched.items():
        assert touched.tolist() == two.rows_touched[table].tolist()


def _assert_same_sample(one: Any, two: Any) -> None:
    np.testing.assert_allclose(one.noise_scale, two.noise_scale, rtol=1e-2)
    np.testing.assert_allclose(one.per_sample_norm, two.per_sample_norm, rtol=1e-3)
    for table, sample in one.tables.items():
        other = two.tables[table]
        assert (sample.rows_touched, sample.zeros) == (other.rows_touched, other.zeros)
        np.testing.assert_allclose(sample.ghost_share, other.ghost_share, atol=1e-3, rtol=0)
        np.testing.assert_allclose(sample.update_to_weight, other.update_to_weight, rtol=1e-3)
        np.testing.assert_allclose(sample.adam_step, other.adam_step, rtol=1e-3)
        assert np.abs(sample.gradient_counts - other.gradient_counts).sum() <= 0.01 * sample.gradient_counts.sum()
        np.testing.assert_allclose(sample.energy_by_decile, other.energy_by_decile, atol=1e-4)
