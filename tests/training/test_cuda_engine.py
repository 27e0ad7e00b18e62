"""The engine for CUDA, on the CPU where its operations are the same, and on CUDA where there is one."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import DivergedError
from cfmodel.gradients.measuring.table_look import SampledTable
from cfmodel.gradients.measuring.touched_rows import TouchedRows
from cfmodel.gradients.recording.gradient_records import StepBlock, StepSample
from cfmodel.training.batching.batches import Batches, DeviceRatings
from cfmodel.training.engines.autograd import AutogradEngine
from cfmodel.training.engines.base import AdamState, Engine
from cfmodel.training.engines.cuda.batch_prefetch import BatchPrefetch
from cfmodel.training.engines.cuda.closed_form import ClosedFormStep
from cfmodel.training.engines.cuda.device_epoch import DeviceEpoch
from cfmodel.training.engines.cuda.engine import CudaEngine, adam_of
from cfmodel.training.engines.cuda.packed_tables import PackedTables
from cfmodel.training.fit import fit
from cfmodel.training.monitor_setup import monitor_of
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.resuming.adam_state import copied
from cfmodel.training.step_log import StepLog

USERS, MOVIES = 40, 25
ADAMS = ["touched_rows", "all_rows"]
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")


def drawn(count: int, users: int = USERS, movies: int = MOVIES, seed: int = 0) -> RatingArrays:
    rng = np.random.default_rng(seed)
    user, movie = ((rng.random(count) ** 2 * rows).astype(np.int32) for rows in (users, movies))
    return RatingArrays(user, movie, rng.integers(1, 6, count).astype(np.float32))


def chosen(**how: Any) -> TrainSettings:
    return TrainSettings(**{"embedding_dim": 5, "epochs": 4, "init_std": 0.3, "learning_rate": 0.02, **how})


def plan_of(
    ratings: RatingArrays, how: TrainSettings, *, users: int = USERS, movies: int = MOVIES, **options: Any
) -> TrainingPlan:
    settings = how.model_copy(update={"regularization": 0.05})
    return TrainingPlan.of(ratings, None, num_users=users, num_movies=movies, settings=settings, **options)


def engine_of(
    kind: Any,
    ratings: RatingArrays,
    how: TrainSettings,
    *,
    users: int = USERS,
    movies: int = MOVIES,
    batch_size: int = 32,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    **dealing: Any,
) -> Any:
    plan = plan_of(ratings, how, users=users, movies=movies, batch_size=batch_size, device=torch.device(device))
    batches = Batches(ratings, num_users=users, num_movies=movies, batch_size=batch_size, seed=how.seed, **dealing)
    return kind(plan.initial_model().to(dtype), batches, plan)


def trained(engine: Engine, epochs: int = 2) -> StepLog:
    for epoch in range(1, epochs + 1):
        log = engine.run_epoch(epoch, on_progress=lambda share: None)
    return log


def assert_same_tables(one: Engine, other: Engine, near: float) -> None:
    for name, table in one.model.named_parameters():
        there = other.model.get_parameter(name).data.to(table.device)
        torch.testing.assert_close(
            table.data, there, rtol=near, atol=near, msg=lambda text, name=name: f"{name} {text}"
        )


@settings(deadline=None, max_examples=15)
@given(
    count=st.integers(1, 120),
    users=st.integers(1, 40),
    movies=st.integers(1, 40),
    dim=st.integers(1, 9),
    batch_size=st.integers(1, 130),
    blocks=st.sampled_from([1, 2, 4, 8]),
    seed=st.integers(0, 99),
    adam=st.sampled_from(ADAMS),
)
def test_any_shape_and_batches_of_any_sizes_give_what_autograd_gives(
    count: int, users: int, movies: int, dim: int, batch_size: int, blocks: int, seed: int, adam: str
) -> None:
    ratings, how = drawn(count, users, movies, seed), chosen(embedding_dim=dim, adam=adam, seed=seed)
    sizes = {"users": users, "movies": movies, "batch_size": batch_size, "blocks": blocks}
    ours, reference = (engine_of(kind, ratings, how, **sizes) for kind in (CudaEngine, AutogradEngine))
    log, expected = trained(ours), trained(reference)
    assert_same_tables(ours, reference, 1e-8)
    assert log.sizes.tolist() == expected.sizes.tolist()
    for seen in ("loss", "mean_squared_error", "total_norm", "clip_coefficient", "grad_norms"):
        np.testing.assert_allclose(getattr(log, seen), getattr(expected, seen), rtol=1e-6, err_msg=seen)
    ours.close()


@pytest.mark.parametrize("adam", ADAMS)
def test_a_larger_batch_in_a_later_epoch_finds_room(adam: str) -> None:
    class Growing(Batches):
        """Batches whose second epoch has one step for two of the first."""

        def of(self, epoch: int) -> Any:
            batches = list(super().of(epoch))
            pairs = zip(batches[::2], batches[1::2], strict=True)
            yield from batches if epoch == 1 else (np.sort(np.concatenate(pair)) for pair in pairs)

    ratings, how = drawn(640), chosen(adam=adam)
    engines = []
    for kind in (CudaEngine, AutogradEngine):
        plan = plan_of(ratings, how)
        batches = Growing(ratings, num_users=USERS, num_movies=MOVIES, batch_size=32, seed=0)
        engines.append(kind(plan.initial_model().double(), batches, plan))
        assert [len(engines[-1].run_epoch(epoch, on_progress=print).sizes) for epoch in (1, 2)] == [20, 10]
    assert_same_tables(*engines, 1e-9)


@pytest.mark.parametrize("adam", ADAMS)
def test_an_engine_goes_on_from_tables_and_adam_as_if_it_had_never_stopped(adam: str) -> None:
    ratings, how = drawn(500), chosen(adam=adam)
    whole, first, resumed = (engine_of(CudaEngine, ratings, how, dtype=torch.float32) for _ in range(3))
    trained(whole, epochs=3)
    trained(first, epochs=2)
    resumed.model.load_state_dict(first.model.state_dict())
    resumed.resume(first.adam())
    resumed.run_epoch(3, on_progress=lambda share: None)
    assert resumed.adam().step == whole.adam().step
    assert all(torch.equal(table, whole.model.get_parameter(name)) for name, table in resumed.model.named_parameters())


def watched(kind: Any, how: TrainSettings, device: str = "cpu", **monitoring: Any) -> tuple[list[Any], Any]:
    """Train two epochs under a monitor; return its records and the engine."""
    ratings, records = drawn(900), []
    engine = engine_of(kind, ratings, how, batch_size=64, dtype=torch.float32, device=device)
    plan = plan_of(
        ratings, how, batch_size=64, device=torch.device(device), monitor=MonitorSettings(**monitoring), epochs=2
    )
    monitor = monitor_of(engine, plan, steps=14, on_record=records.append)
    monitor.start()
    for epoch in (1, 2):
        engine.run_epoch(epoch, on_progress=lambda share: None, monitor=monitor)
        monitor.end_epoch()
    monitor.finish()
    return records, engine


@pytest.mark.parametrize("adam", ADAMS)
@pytest.mark.parametrize("as_on_a_gpu", [False, True])
def test_the_monitor_gets_the_records_that_autograd_gives_it(
    adam: str, as_on_a_gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [watched(AutogradEngine, chosen(adam=adam), sample_every=1)[0]]
    if as_on_a_gpu:  # where how many rows a batch looks up is not known on the host
        monkeypatch.setattr(TouchedRows, "of", TouchedRows.padded)
        monkeypatch.setattr("cfmodel.gradients.measuring.monitor.SampledTableCpu", SampledTable)
    found.insert(0, watched(CudaEngine, chosen(adam=adam), sample_every=1)[0])
    assert [type(record) for record in found[0]] == [type(record) for record in found[1]]
    for one, two in zip(*found, strict=True):
        if isinstance(one, StepBlock):
            assert one.largest_error_user.tolist() == two.largest_error_user.tolist()
            assert one.largest_error_movie.tolist() == two.largest_error_movie.tolist()
            np.testing.assert_allclose(one.largest_error, two.largest_error, rtol=1e-4)
            for table, touched in one.rows_touched.items():
                assert touched.tolist() == two.rows_touched[table].tolist()
        if isinstance(one, StepSample):
            assert one.noise_scale == pytest.approx(two.noise_scale, rel=1e-2)
            for table, seen in one.tables.items():
                other = two.tables[table]
                assert (seen.rows_touched, seen.zeros) == (other.rows_touched, other.zeros)
                assert seen.ghost_share == pytest.approx(other.ghost_share, abs=1e-3)
                assert seen.update_to_weight == pytest.approx(other.update_to_weight, rel=1e-3)
                assert seen.adam_step == pytest.approx(other.adam_step, rel=1e-3)
                assert np.abs(seen.gradient_counts - other.gradient_counts).sum() <= 0.01 * seen.gradient_counts.sum()
    assert sum(isinstance(record, StepSample) for record in found[0]) == 28


@pytest.mark.parametrize("adam", ADAMS)
def test_watching_changes_nothing_that_is_learned(adam: str) -> None:
    _, engine = watched(CudaEngine, chosen(adam=adam))
    alone = engine_of(CudaEngine, drawn(900), chosen(adam=adam), batch_size=64, dtype=torch.float32)
    trained(alone)
    assert all(torch.equal(table, alone.model.get_parameter(name)) for name, table in engine.model.named_parameters())


def step_on(device: str, adam: str) -> ClosedFormStep:
    """Return a step with room for 32 ratings of an epoch that is yet to begin."""
    how = chosen(adam=adam)
    model = plan_of(drawn(320), how, device=torch.device(device)).initial_model()
    tables = PackedTables(model)
    gradient = torch.zeros_like(tables.weight)
    ratings = DeviceRatings.of(drawn(320), torch.device(device))
    epoch = DeviceEpoch(ratings, num_users=USERS, steps=10, dtype=torch.float32)
    epoch.begin(torch.arange(320, dtype=torch.int32), [32] * 10, [0.01] * 10)
    step = ClosedFormStep(
        tables, epoch, adam_of(tables.weight, gradient, how),
        gradient=gradient, global_mean=model.global_mean, regularization=0.05, max_grad_norm=1.0,
    )  # fmt: skip
    step.room = 32
    return step


def test_a_step_needs_no_value_on_the_host() -> None:
    # Tensors of the meta device have shapes and no values: whatever needs a value fails.
    step_on("meta", "touched_rows").run()  # torch's own Adam, over all rows, has no kernel for that device


class Operations(TorchDispatchMode):
    """Lists the operations of a block."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("adam", ADAMS)
def test_a_step_reads_nothing_back_and_is_the_same_operations_each_time(adam: str) -> None:
    waiting = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "bincount", "_to_copy.cpu")
    step, runs = step_on("cpu", adam), []
    for _ in range(3):
        with Operations() as operations:
            step.run()
        runs.append(operations.seen)
        assert not [seen for seen in operations.seen if any(name in seen for name in waiting)]
    assert runs[0] == runs[1] == runs[2]


def test_epochs_dealt_ahead_are_those_of_the_batches() -> None:
    batches = Batches(drawn(640), num_users=USERS, num_movies=MOVIES, batch_size=32, seed=3, blocks=2)
    ahead = BatchPrefetch(batches, epochs=6, pinned=False)
    for epoch in (1, 2, 3, 5, 6, 2, 3):  # in order, with one left out, and once more from an earlier one on
        dealt, expected = ahead.take(epoch), list(batches.of(epoch))
        assert dealt.places.tolist() == np.concatenate(expected).tolist()
        assert dealt.sizes == [len(batch) for batch in expected]
    ahead.close()


def test_a_model_that_is_done_has_tables_of_its_own() -> None:
    engine = engine_of(CudaEngine, drawn(100), chosen())
    trained(engine)
    before = {name: table.clone() for name, table in engine.model.state_dict().items()}
    engine.close()
    assert all(table.is_contiguous() for table in engine.model.parameters())
    assert all(torch.equal(before[name], table) for name, table in engine.model.state_dict().items())


def test_a_rating_that_is_no_number_is_refused_with_its_step() -> None:
    ratings = drawn(320)
    ratings.rating[17] = np.nan
    log = trained(engine_of(CudaEngine, ratings, chosen()), epochs=1)
    with pytest.raises(DivergedError, match="epoch 1: loss or gradient is not finite from step"):
        log.summary(epoch=1, steps_before=0)


@CUDA
@pytest.mark.parametrize("adam", ADAMS)
def test_replayed_steps_are_those_of_autograd(adam: str) -> None:
    ratings, how = drawn(2000), chosen(adam=adam)
    ours = engine_of(CudaEngine, ratings, how, dtype=torch.float32, device="cuda")
    reference = engine_of(AutogradEngine, ratings, how, dtype=torch.float32)
    log, expected = trained(ours), trained(reference)
    assert_same_tables(ours, reference, 1e-3)
    np.testing.assert_allclose(log.loss, expected.loss, rtol=1e-3)


@CUDA
@pytest.mark.parametrize("adam", ADAMS)
def test_on_cuda_the_monitor_gets_the_records_of_the_cpu(adam: str) -> None:
    (ours, _), (theirs, _) = (
        watched(CudaEngine, chosen(adam=adam), device, sample_every=1) for device in ("cuda", "cpu")
    )
    assert [type(record) for record in ours] == [type(record) for record in theirs]
    for one, two in zip(ours, theirs, strict=True):
        if isinstance(one, StepSample):
            for table, seen in one.tables.items():
                assert seen.rows_touched == two.tables[table].rows_touched
                assert seen.update_to_weight == pytest.approx(two.tables[table].update_to_weight, rel=1e-2)


@CUDA
@pytest.mark.parametrize("adam", ADAMS)
def test_on_cuda_an_engine_goes_on_from_between_two_steps(adam: str) -> None:
    ratings, how = drawn(2000), chosen(adam=adam)
    whole, resumed = (engine_of(CudaEngine, ratings, how, dtype=torch.float32, device="cuda") for _ in range(2))
    left: list[tuple[dict[str, torch.Tensor], AdamState, StepLog]] = []

    def leave(share: float) -> None:
        if share > 0.5 and not left:
            adam = whole.adam()
            moments = AdamState(adam.step, copied(adam.first_moments), copied(adam.second_moments))
            left.append((copied(whole.model.state_dict()), moments, whole.log()))

    log = whole.run_epoch(1, on_progress=leave)
    ((weights, moments, seen),) = left
    resumed.model.load_state_dict(weights)
    resumed.resume(moments)
    again = resumed.run_epoch(1, on_progress=lambda share: None, after=seen)
    assert_same_tables(resumed, whole, 1e-3)
    assert again.sizes.tolist() == log.sizes.tolist()
    np.testing.assert_array_equal(again.loss[: len(seen)], log.loss[: len(seen)])
    np.testing.assert_allclose(again.loss, log.loss, rtol=1e-3)


@CUDA
def test_on_cuda_a_training_is_fitted_as_on_the_cpu() -> None:
    ratings, how = drawn(3000), chosen(batch_size=64, embedding_dim=8)
    found = [
        fit(
            TrainingPlan.of(
                ratings, ratings, num_users=USERS, num_movies=MOVIES, settings=how, device=torch.device(device)
            )
        )
        for device in ("cuda", "cpu")
    ]
    assert found[0].best_val_rmse == pytest.approx(found[1].best_val_rmse, abs=2e-3)
