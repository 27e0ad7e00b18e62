"""Every engine: the same updates as autograd with torch's Adam, and a state from which it resumes bit for bit."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_engines import (
    ADAMS,
    ENGINES,
    FUSED,
    assert_same_training,
    chosen,
    drawn,
    engine_on,
    plan_of,
    run_epochs,
    snapshot,
    trained,
)

from cfmodel.config import TrainSettings
from cfmodel.training.engines.autograd import AutogradEngine
from cfmodel.training.engines.step_log import StepLog
from cfmodel.training.planning.plan import TrainingPlan

#: In float64 a step differs by rounding alone; in float32 fifty of them may drift apart by a little more.
NEAR = {torch.float64: 1e-9, torch.float32: 3e-5}


@pytest.fixture
def reports_between_any_two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cfmodel.training.engines.cpu.engine._STRETCH", 1)


@pytest.mark.parametrize("kind", FUSED)
@pytest.mark.parametrize("dtype", NEAR, ids=str)
@pytest.mark.parametrize("adam", ADAMS)
@pytest.mark.parametrize("max_grad_norm", [0.05, 1e6], ids=["clipped", "not clipped"])
@pytest.mark.parametrize(("steps", "blocks"), [(1, 1), (50, 1), (16, 8), (64, 4)])
def test_fused_steps_are_those_of_autograd(
    kind: str, dtype: torch.dtype, adam: str, max_grad_norm: float, steps: int, blocks: int
) -> None:
    ratings = drawn(40 * steps, users=60, movies=35)  # batches of 40 over 95 rows: some rows repeat, some are absent
    options: dict[str, Any] = {"users": 60, "movies": 35, "batch_size": 40, "dtype": dtype}
    options |= {"adam": adam, "max_grad_norm": max_grad_norm, "blocks": blocks}
    ours, reference = trained(FUSED[kind], ratings, **options), trained(AutogradEngine, ratings, **options)
    assert len(ours[1].loss) == steps
    assert (ours[1].clip_coefficient < 1).all() == (max_grad_norm < 1)
    assert_same_training(ours, reference, NEAR[dtype])


@pytest.mark.parametrize("kind", FUSED)
@pytest.mark.parametrize("adam", ADAMS)
def test_rows_without_a_rating_move_only_as_torch_moves_them(kind: str, adam: str) -> None:
    ratings = drawn(200, users=20, movies=10)
    options: dict[str, Any] = {"users": 30, "movies": 15, "batch_size": 20, "epochs": 3, "adam": adam}
    ours, reference = trained(FUSED[kind], ratings, **options), trained(AutogradEngine, ratings, **options)
    assert_same_training(ours, reference, 1e-9)
    untrained = TrainingPlan.of(
        ratings, None, num_users=30, num_movies=15, settings=TrainSettings(embedding_dim=5, init_std=0.3)
    ).initial_model()
    cold = ours[0].model.user_embeddings.weight[20:]
    torch.testing.assert_close(cold.data.float(), untrained.user_embeddings.weight[20:].data)


@pytest.mark.parametrize("kind", FUSED)
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
    adam=st.sampled_from(ADAMS),
)
def test_any_shape_and_any_batches_give_the_result_of_autograd(
    kind: str, count: int, users: int, movies: int, dim: int, batch_size: int, blocks: int, threads: int, seed: int,
    adam: str,
) -> None:  # fmt: skip
    plan = plan_of(
        drawn(count, users, movies, seed), chosen(embedding_dim=dim, epochs=4, adam=adam, seed=seed),
        users=users, movies=movies, batch_size=batch_size, blocks=blocks,
    )  # fmt: skip
    ours, reference = (engine_on(plan, each, threads=threads) for each in (FUSED[kind], AutogradEngine))
    assert_same_training((ours, run_epochs(ours)), (reference, run_epochs(reference)), 1e-8)
    ours.close()


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("adam", ADAMS)
def test_an_engine_resumes_from_tables_and_adam_as_if_it_had_never_stopped(kind: str, adam: str) -> None:
    ratings = drawn(500, users=40, movies=30)
    options: dict[str, Any] = {"users": 40, "movies": 30, "batch_size": 50, "dtype": torch.float32, "adam": adam}
    whole, _ = trained(ENGINES[kind], ratings, epochs=3, **options)
    first, _ = trained(ENGINES[kind], ratings, epochs=2, **options)
    plan = plan_of(ratings, chosen(adam=adam), users=40, movies=30, batch_size=50)
    resumed = engine_on(plan, ENGINES[kind], torch.float32)
    resumed.model.load_state_dict(first.model.state_dict())
    resumed.resume(first.adam())
    resumed.run_epoch(3, on_progress=lambda fraction: None)
    assert resumed.adam().step == whole.adam().step
    assert all(torch.equal(table, whole.model.get_parameter(name)) for name, table in resumed.model.named_parameters())


def assert_equal_logs(one: StepLog, other: StepLog) -> None:
    for name, array in one.arrays().items():
        assert array.dtype == other.arrays()[name].dtype
        assert array.tobytes() == other.arrays()[name].tobytes(), name


@pytest.mark.usefixtures("reports_between_any_two_steps")
@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("adam", ADAMS)
@pytest.mark.parametrize(
    ("blocks", "batch_size", "steps"),
    [(1, 40, 16), (4, 40, 16), (8, 40, 16), (4, 120, 4)],
    ids=["one cell", "visits of several batches", "visits of one batch", "few steps"],
)
def test_an_engine_resumes_between_any_two_steps_as_if_it_had_never_stopped(
    kind: str, adam: str, blocks: int, batch_size: int, steps: int
) -> None:
    plan = plan_of(
        drawn(640, 60, 35), chosen(epochs=3, adam=adam), users=60, movies=35, batch_size=batch_size, blocks=blocks
    )
    whole, left = engine_on(plan, ENGINES[kind], torch.float32, threads=2), {}

    def leave(fraction: float) -> None:
        left[round(fraction * steps)] = snapshot(whole)

    whole.run_epoch(1, on_progress=lambda _: None)
    log = whole.run_epoch(2, on_progress=leave)
    assert len(log) == steps
    assert list(left) == list(range(1, steps + 1))
    for done, (weights, moments, earlier) in left.items():
        assert len(earlier) == done
        if done == steps:
            continue
        resumed = engine_on(plan, ENGINES[kind], torch.float32, threads=2)
        resumed.model.load_state_dict(weights)
        resumed.resume(moments)
        reports: list[float] = []
        assert_equal_logs(resumed.run_epoch(2, on_progress=reports.append, earlier=earlier), log)
        assert reports == [each / steps for each in left if each > done]
        assert resumed.adam().step == whole.adam().step == 2 * steps
        for name, table in resumed.model.state_dict().items():
            assert torch.equal(table, whole.model.state_dict()[name]), (done, name)
        for name in moments.first_moments:
            assert torch.equal(resumed.adam().first_moments[name], whole.adam().first_moments[name])
            assert torch.equal(resumed.adam().second_moments[name], whole.adam().second_moments[name])
        resumed.close()
    whole.close()


@pytest.mark.parametrize("kind", ENGINES)
def test_the_penalty_on_every_table_is_that_of_the_rows_number_of_ratings(kind: str) -> None:
    ratings = drawn(300, users=20, movies=10)
    plan = plan_of(ratings, chosen(), users=20, movies=10, batch_size=300)
    model, total = plan.initial_model().double(), 0.0
    for table in model.TABLES:
        counts = np.bincount(ratings.user_idx if table.side == "user" else ratings.movie_idx)
        assert len(set(counts)) > 3
        squares = model.weights()[table.name].detach().square().sum(dim=1).numpy()[: len(counts)]
        # Each bias is pulled by the same number of ratings, each embedding by 0.5 times the root of its own.
        pulls = 0.5 * np.sqrt(counts) if table.width is None else plan.penalty.bias[table.side] * (counts > 0)
        part = float(pulls @ squares) / len(ratings)
        assert part > 1e-3, table.name
        total += part
    log = run_epochs(engine_on(plan, ENGINES[kind]), epochs=1)
    assert log.loss[0] - log.mean_squared_error[0] == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("kind", FUSED)
def test_a_closed_engine_leaves_the_model_tables_of_its_own(kind: str) -> None:
    engine, _ = trained(FUSED[kind], drawn(100, users=20, movies=10), users=20, movies=10, batch_size=20)
    before = {name: table.clone() for name, table in engine.model.state_dict().items()}
    engine.close()
    assert all(table.is_contiguous() for table in engine.model.parameters())
    assert all(torch.equal(before[name], table) for name, table in engine.model.state_dict().items())


@pytest.mark.parametrize("kind", ENGINES)
def test_a_rating_that_is_nan_makes_the_loss_and_the_largest_error_of_its_step_nan(kind: str) -> None:
    ratings = drawn(100, users=20, movies=10)
    ratings.rating[17] = np.nan
    plan = plan_of(ratings, TrainSettings(), users=20, movies=10, batch_size=100)
    log = run_epochs(engine_on(plan, ENGINES[kind], torch.float32), epochs=1)
    assert np.isnan(log.loss[0])
    assert log.scalars is None or np.isnan(log.scalars.largest_error[0])
