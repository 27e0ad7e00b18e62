"""Every engine computes what autograd and torch's own Adam do."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import ConfigError
from cfmodel.gradients.recording.gradient_records import StepBlock
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.engines.autograd import AutogradEngine
from cfmodel.training.engines.base import Engine
from cfmodel.training.engines.choose import choose
from cfmodel.training.engines.cpu.engine import FusedEngine
from cfmodel.training.engines.cuda.engine import CudaEngine
from cfmodel.training.fit import fit
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.step_log import StepLog

CPU = torch.device("cpu")
FUSED: dict[str, Any] = {"fused": FusedEngine, "fused for cuda": CudaEngine}
#: A float64 step differs by rounding alone; in float32 fifty of them may drift apart by a little more.
NEAR = {torch.float64: 1e-9, torch.float32: 3e-5}


def drawn(count: int, users: int, movies: int, seed: int = 0) -> RatingArrays:
    """Return ratings in which rows repeat, within a batch too."""
    rng = np.random.default_rng(seed)
    user, movie = (rng.random(count) ** 2 * users).astype(np.int32), (rng.random(count) ** 2 * movies).astype(np.int32)
    return RatingArrays(user, movie, rng.integers(1, 6, count).astype(np.float32))


def plan_of(ratings: RatingArrays, users: int, movies: int, settings: TrainSettings, **how: Any) -> TrainingPlan:
    """Plan a training with the settings as they are: `auto` is left to the engine."""
    changed = settings.model_copy(update={"regularization": 0.05, "blocks": how.pop("blocks", 1)})
    return replace(
        TrainingPlan.of(ratings, None, num_users=users, num_movies=movies, settings=changed, **how), settings=changed
    )


def trained(
    kind: Any,
    ratings: RatingArrays,
    *,
    users: int,
    movies: int,
    batch_size: int,
    dtype: torch.dtype = torch.float64,
    epochs: int = 1,
    blocks: int = 1,
    **how: Any,
) -> tuple[Engine, StepLog]:
    """Train for some epochs; return the engine and what the last epoch's steps saw."""
    chosen = TrainSettings(**{"embedding_dim": 5, "epochs": 8, "init_std": 0.3, "learning_rate": 0.02, **how})
    plan = plan_of(ratings, users, movies, chosen, batch_size=batch_size, blocks=blocks)
    extra = {"threads": 1} if kind is FusedEngine and "threads" not in how else {}
    engine = kind(plan.initial_model().to(dtype), plan.batches(), plan, **extra)
    for epoch in range(1, epochs + 1):
        log = engine.run_epoch(epoch, on_progress=lambda share: None)
    return engine, log


def assert_same(one: tuple[Engine, StepLog], other: tuple[Engine, StepLog], near: float) -> None:
    (engine, log), (reference, expected) = one, other
    for name, table in engine.model.named_parameters():
        torch.testing.assert_close(table.data, reference.model.get_parameter(name).data, rtol=near, atol=near)
    for ours, theirs in zip(
        (engine.adam().first_moments, engine.adam().second_moments),
        (reference.adam().first_moments, reference.adam().second_moments),
        strict=True,
    ):
        for name, table in ours.items():
            torch.testing.assert_close(table, theirs[name], rtol=10 * near, atol=near)
    assert engine.adam().step == reference.adam().step
    assert log.sizes.tolist() == expected.sizes.tolist()
    for seen in ("loss", "mean_squared_error", "total_norm", "clip_coefficient", "grad_norms"):
        np.testing.assert_allclose(getattr(log, seen), getattr(expected, seen), rtol=max(1e-6, 3 * near), err_msg=seen)


@pytest.mark.parametrize("kind", FUSED)
@pytest.mark.parametrize("dtype", NEAR, ids=str)
@pytest.mark.parametrize("adam", ["touched_rows", "all_rows"])
@pytest.mark.parametrize("max_grad_norm", [0.05, 1e6], ids=["clipped", "not clipped"])
@pytest.mark.parametrize(("steps", "blocks"), [(1, 1), (50, 1), (16, 8), (64, 4)])
def test_steps_are_those_of_autograd(
    kind: str, dtype: torch.dtype, adam: str, max_grad_norm: float, steps: int, blocks: int
) -> None:
    ratings = drawn(40 * steps, users=60, movies=35)  # batches of 40 over 95 rows: some repeat, some are not there
    how: dict[str, Any] = {"users": 60, "movies": 35, "batch_size": 40, "dtype": dtype}
    how |= {"adam": adam, "max_grad_norm": max_grad_norm, "blocks": blocks}
    ours, reference = trained(FUSED[kind], ratings, **how), trained(AutogradEngine, ratings, **how)
    assert len(ours[1].loss) == steps
    assert (ours[1].clip_coefficient < 1).all() == (max_grad_norm < 1)
    assert_same(ours, reference, NEAR[dtype])


@pytest.mark.parametrize("kind", FUSED)
@pytest.mark.parametrize("adam", ["touched_rows", "all_rows"])
def test_rows_that_no_rating_looks_up_move_only_as_torch_moves_them(kind: str, adam: str) -> None:
    ratings = drawn(200, users=20, movies=10)
    how: dict[str, Any] = {"users": 30, "movies": 15, "batch_size": 20, "epochs": 3, "adam": adam}
    ours, reference = trained(FUSED[kind], ratings, **how), trained(AutogradEngine, ratings, **how)
    assert_same(ours, reference, 1e-9)
    untrained = TrainingPlan.of(
        ratings, None, num_users=30, num_movies=15, settings=TrainSettings(embedding_dim=5, init_std=0.3)
    ).initial_model()
    cold = ours[0].model.user_embeddings.weight[20:]
    torch.testing.assert_close(cold.data.float(), untrained.user_embeddings.weight[20:].data)


@settings(deadline=None, max_examples=25)
@given(
    count=st.integers(1, 120),
    users=st.integers(1, 40),
    movies=st.integers(1, 40),
    dim=st.integers(1, 20),
    batch_size=st.integers(1, 130),
    blocks=st.sampled_from([1, 2, 4, 8]),
    threads=st.integers(1, 4),
    seed=st.integers(0, 99),
    adam=st.sampled_from(["touched_rows", "all_rows"]),
)
def test_any_shape_gives_what_autograd_gives(
    count: int, users: int, movies: int, dim: int, batch_size: int, blocks: int, threads: int, seed: int, adam: str
) -> None:
    ratings = drawn(count, users, movies, seed)
    chosen = TrainSettings(embedding_dim=dim, epochs=4, init_std=0.3, adam=adam, seed=seed)
    engines: list[tuple[Engine, StepLog]] = []
    for kind, extra in ((FusedEngine, {"threads": threads}), (AutogradEngine, {})):
        plan = plan_of(ratings, users, movies, chosen, batch_size=batch_size, blocks=blocks)
        engine: Engine = kind(plan.initial_model().double(), plan.batches(), plan, **extra)
        for epoch in (1, 2):
            log = engine.run_epoch(epoch, on_progress=lambda share: None)
        engines.append((engine, log))
    assert_same(engines[0], engines[1], 1e-8)


@pytest.mark.parametrize("adam", ["touched_rows", "all_rows"])
@pytest.mark.parametrize("batch_size", [100, 1000])
def test_the_result_does_not_depend_on_the_number_of_threads(adam: str, batch_size: int) -> None:
    ratings = drawn(6000, users=300, movies=200)
    models = []
    for threads in (1, 2, 3, 7):
        chosen = TrainSettings(epochs=2, adam=adam)
        plan = plan_of(ratings, 300, 200, chosen, batch_size=batch_size, blocks=8)
        engine = FusedEngine(plan.initial_model(), plan.batches(), plan, threads=threads)
        for epoch in (1, 2):
            engine.run_epoch(epoch, on_progress=lambda share: None)
        engine.close()
        models.append(engine.model.state_dict())
    for other in models[1:]:
        assert all(torch.equal(other[name], table) for name, table in models[0].items())


@pytest.mark.parametrize("kind", [FusedEngine, AutogradEngine])
def test_an_engine_goes_on_from_tables_and_adam_as_if_it_had_never_stopped(kind: Any) -> None:
    ratings = drawn(500, users=40, movies=30)
    how: dict[str, Any] = {"users": 40, "movies": 30, "batch_size": 50, "dtype": torch.float32}
    whole, _ = trained(kind, ratings, epochs=3, **how)
    first, _ = trained(kind, ratings, epochs=2, **how)
    chosen = TrainSettings(embedding_dim=5, epochs=8, init_std=0.3, learning_rate=0.02)
    plan = plan_of(ratings, 40, 30, chosen, batch_size=50)
    model = plan.initial_model()
    model.load_state_dict(first.model.state_dict())
    extra = {"threads": 1} if kind is FusedEngine else {}
    resumed = kind(model, plan.batches(), plan, **extra)
    resumed.resume(first.adam())
    resumed.run_epoch(3, on_progress=lambda share: None)
    assert all(torch.equal(table, whole.model.get_parameter(name)) for name, table in resumed.model.named_parameters())


@pytest.mark.parametrize("adam", ["touched_rows", "all_rows"])
def test_both_engines_hand_the_monitor_the_same_records(adam: str) -> None:
    ratings = drawn(900, users=50, movies=30)
    records: dict[str, list[Any]] = {}
    for engine in ("fused", "autograd"):
        records[engine] = []
        chosen = TrainSettings(embedding_dim=5, epochs=2, batch_size=64, engine=engine, adam=adam, init_std=0.1)
        watched = MonitorSettings(sample_every=1)
        plan = TrainingPlan.of(ratings, None, num_users=50, num_movies=30, settings=chosen, monitor=watched)
        fit(plan, on_record=records[engine].append)
    ours, theirs = (
        [record for record in found if type(record).__name__ != "StepProgress"] for found in records.values()
    )
    assert [type(record) for record in ours] == [type(record) for record in theirs]
    blocks = [(one, two) for one, two in zip(ours, theirs, strict=True) if isinstance(one, StepBlock)]
    assert len(blocks) == 2
    for one, two in blocks:
        assert one.largest_error_user.tolist() == two.largest_error_user.tolist()
        assert one.largest_error_movie.tolist() == two.largest_error_movie.tolist()
        np.testing.assert_allclose(one.largest_error, two.largest_error, rtol=1e-4)
        for table, touched in one.rows_touched.items():
            assert touched.tolist() == two.rows_touched[table].tolist()
    samples = [(one, two) for one, two in zip(ours, theirs, strict=True) if type(one).__name__ == "StepSample"]
    assert len(samples) == 28
    for one, two in samples:
        assert one.noise_scale == pytest.approx(two.noise_scale, rel=1e-2)
        assert one.per_sample_norm == pytest.approx(two.per_sample_norm, rel=1e-3)
        for table, seen in one.tables.items():
            other = two.tables[table]
            assert (seen.rows_touched, seen.zeros) == (other.rows_touched, other.zeros)
            assert seen.ghost_share == pytest.approx(other.ghost_share, abs=1e-3)
            assert seen.update_to_weight == pytest.approx(other.update_to_weight, rel=1e-3)
            assert seen.adam_step == pytest.approx(other.adam_step, rel=1e-3)
            assert np.abs(seen.gradient_counts - other.gradient_counts).sum() <= 0.01 * seen.gradient_counts.sum()
            np.testing.assert_allclose(seen.energy_by_decile, other.energy_by_decile, atol=1e-4)


def test_a_model_that_is_done_has_tables_of_its_own() -> None:
    ratings = drawn(100, users=20, movies=10)
    engine, _ = trained(FusedEngine, ratings, users=20, movies=10, batch_size=20)
    before = {name: table.clone() for name, table in engine.model.state_dict().items()}
    engine.close()
    assert all(table.is_contiguous() for table in engine.model.parameters())
    assert all(torch.equal(before[name], table) for name, table in engine.model.state_dict().items())


def test_the_fastest_engine_is_chosen_and_a_wrong_one_refused() -> None:
    assert choose("auto", CPU).name == "fused"
    assert choose("auto", torch.device("cuda")).name == "fused"
    assert choose("auto", torch.device("mps")).name == "autograd"
    assert choose("autograd", CPU).name == "autograd"
    with pytest.raises(ConfigError, match="runs on the CPU and on CUDA, not on mps"):
        choose("fused", torch.device("mps"))


def test_a_rating_that_is_no_number_is_the_largest_error() -> None:
    ratings = drawn(100, users=20, movies=10)
    ratings.rating[17] = np.nan
    model = CollaborativeFiltering(20, 10, 5, global_mean=3.0)
    plan = plan_of(ratings, 20, 10, TrainSettings(), batch_size=100)
    engine = FusedEngine(model, plan.batches(), plan, threads=1)
    log = engine.run_epoch(1, on_progress=lambda share: None)
    assert np.isnan(log.loss[0])
