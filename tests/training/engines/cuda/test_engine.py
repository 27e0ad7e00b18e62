"""The fused engine for CUDA: on the CPU, where its operations are the same, and on CUDA if there is a GPU."""

from typing import Any

import numpy as np
import pytest
import torch
from training_engines import (
    ADAMS,
    MOVIES,
    USERS,
    assert_same_samples,
    assert_same_tables,
    chosen,
    drawn,
    engine_on,
    plan_of,
    run_epochs,
    snapshot,
    trained,
)

from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.errors import DivergedError
from cfmodel.gradients.measuring.table_probe import SampledTable
from cfmodel.gradients.measuring.touched_rows import TouchedRows
from cfmodel.gradients.recording.gradient_records import StepSample
from cfmodel.training.batching.batches import Batches
from cfmodel.training.engines.autograd import AutogradEngine
from cfmodel.training.engines.cuda.engine import CudaEngine
from cfmodel.training.engines.protocol import AdamState
from cfmodel.training.engines.step_log import StepLog
from cfmodel.training.fit import fit
from cfmodel.training.monitor_setup import build_monitor
from cfmodel.training.planning.plan import TrainingPlan

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")


@pytest.mark.parametrize("adam", ADAMS)
def test_a_larger_batch_in_a_later_epoch_raises_the_capacity(adam: str) -> None:
    class Growing(Batches):
        """Batches whose second epoch has one step for two of the first."""

        def of(self, epoch: int) -> Any:
            batches = list(super().of(epoch))
            pairs = zip(batches[::2], batches[1::2], strict=True)
            yield from batches if epoch == 1 else (np.sort(np.concatenate(pair)) for pair in pairs)

    ratings, engines = drawn(640), []
    for kind in (CudaEngine, AutogradEngine):
        plan = plan_of(ratings, chosen(epochs=4, adam=adam))
        batches = Growing(ratings, num_users=USERS, num_movies=MOVIES, batch_size=32, seed=0)
        engines.append(kind(plan.initial_model().double(), batches, plan))
        assert [len(engines[-1].run_epoch(epoch, on_progress=print).sizes) for epoch in (1, 2)] == [20, 10]
    assert_same_tables(*engines, 1e-9)


def monitored(kind: Any, settings: TrainSettings, device: str = "cpu", **monitoring: Any) -> tuple[list[Any], Any]:
    """Train two epochs with a monitor; return its records and the engine."""
    options = {"batch_size": 64, "device": torch.device(device)}
    plan = plan_of(drawn(900), settings, monitor=MonitorSettings(**monitoring), epochs=2, **options)
    engine, records = engine_on(plan, kind, torch.float32), []
    monitor = build_monitor(engine, plan, steps=14, on_record=records.append)
    monitor.start()
    for epoch in (1, 2):
        engine.run_epoch(epoch, on_progress=lambda fraction: None, monitor=monitor)
        monitor.end_epoch()
    monitor.finish()
    return records, engine


@pytest.mark.parametrize("adam", ADAMS)
@pytest.mark.parametrize("as_on_a_gpu", [False, True])
def test_the_monitor_gets_the_same_records_as_from_autograd(
    adam: str, as_on_a_gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, _ = monitored(AutogradEngine, chosen(epochs=4, adam=adam), sample_every=1)
    if as_on_a_gpu:  # where the host does not know the number of distinct rows of a batch
        monkeypatch.setattr(TouchedRows, "of", TouchedRows.padded)
        monkeypatch.setattr("cfmodel.gradients.measuring.monitor.SampledTableCpu", SampledTable)
    ours, _ = monitored(CudaEngine, chosen(epochs=4, adam=adam), sample_every=1)
    assert_same_samples(ours, theirs)
    assert sum(isinstance(record, StepSample) for record in ours) == 28


@pytest.mark.parametrize("adam", ADAMS)
def test_the_monitor_does_not_change_the_weights(adam: str) -> None:
    settings = chosen(epochs=4, adam=adam)
    _, engine = monitored(CudaEngine, settings)
    alone = engine_on(plan_of(drawn(900), settings, batch_size=64), CudaEngine, torch.float32)
    run_epochs(alone)
    assert all(torch.equal(table, alone.model.get_parameter(name)) for name, table in engine.model.named_parameters())


def test_a_rating_that_is_nan_is_refused_with_its_step() -> None:
    ratings = drawn(320)
    ratings.rating[17] = np.nan
    _, log = trained(CudaEngine, ratings)
    with pytest.raises(DivergedError, match="epoch 1: loss or gradient is not finite from step"):
        log.summary(epoch=1, steps_before=0, rating_std=1.0)


@CUDA
@pytest.mark.parametrize("adam", ADAMS)
def test_on_cuda_replayed_steps_are_those_of_autograd(adam: str) -> None:
    options: dict[str, Any] = {"dtype": torch.float32, "epochs": 2, "adam": adam}
    ours, log = trained(CudaEngine, drawn(2000), device="cuda", **options)
    reference, expected = trained(AutogradEngine, drawn(2000), **options)
    assert_same_tables(ours, reference, 1e-3)
    np.testing.assert_allclose(log.loss, expected.loss, rtol=1e-3)


@CUDA
@pytest.mark.parametrize("adam", ADAMS)
def test_on_cuda_the_monitor_gets_the_records_of_the_cpu(adam: str) -> None:
    (ours, _), (theirs, _) = (
        monitored(CudaEngine, chosen(epochs=4, adam=adam), device, sample_every=1) for device in ("cuda", "cpu")
    )
    assert [type(record) for record in ours] == [type(record) for record in theirs]
    for one, two in zip(ours, theirs, strict=True):
        if isinstance(one, StepSample):
            for table, sample in one.tables.items():
                assert sample.rows_touched == two.tables[table].rows_touched
                assert sample.update_to_weight == pytest.approx(two.tables[table].update_to_weight, rel=1e-2)


@CUDA
@pytest.mark.parametrize("adam", ADAMS)
def test_on_cuda_an_engine_resumes_between_two_steps(adam: str) -> None:
    plan = plan_of(drawn(2000), chosen(epochs=4, adam=adam), batch_size=32, device=torch.device("cuda"))
    whole, resumed = (engine_on(plan, CudaEngine, torch.float32) for _ in range(2))
    left: list[tuple[dict[str, torch.Tensor], AdamState, StepLog]] = []

    def leave(fraction: float) -> None:
        if fraction > 0.5 and not left:
            left.append(snapshot(whole))

    log = whole.run_epoch(1, on_progress=leave)
    ((weights, moments, earlier),) = left
    resumed.model.load_state_dict(weights)
    resumed.resume(moments)
    again = resumed.run_epoch(1, on_progress=lambda fraction: None, earlier=earlier)
    assert_same_tables(resumed, whole, 1e-3)
    assert again.sizes.tolist() == log.sizes.tolist()
    np.testing.assert_array_equal(again.loss[: len(earlier)], log.loss[: len(earlier)])
    np.testing.assert_allclose(again.loss, log.loss, rtol=1e-3)


@CUDA
def test_on_cuda_a_fit_ends_as_on_the_cpu() -> None:
    ratings, settings = drawn(3000), chosen(epochs=4, batch_size=64, embedding_dim=8)
    cuda, cpu = (
        fit(
            TrainingPlan.of(
                ratings, ratings, num_users=USERS, num_movies=MOVIES, settings=settings, device=torch.device(device)
            )
        )
        for device in ("cuda", "cpu")
    )
    assert cuda.best_val_rmse == pytest.approx(cpu.best_val_rmse, abs=2e-3)
