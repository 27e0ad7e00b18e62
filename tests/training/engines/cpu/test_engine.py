"""The fused engine for the CPU: independent of the number of threads, and monitored like autograd."""

from typing import Any

import pytest
import torch
from training_engines import ADAMS, assert_same_samples, drawn, engine_on, plan_of, run_epochs

from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.gradients.recording.gradient_records import StepBlock, StepSample
from cfmodel.training.engines.cpu.engine import CpuEngine
from cfmodel.training.epoch_records import StepProgress
from cfmodel.training.fit import fit
from cfmodel.training.planning.plan import TrainingPlan


@pytest.mark.parametrize("adam", ADAMS)
@pytest.mark.parametrize("batch_size", [100, 1000])
def test_the_result_does_not_depend_on_the_number_of_threads(adam: str, batch_size: int) -> None:
    settings, options = TrainSettings(epochs=2, adam=adam), {"users": 300, "movies": 200, "batch_size": batch_size}
    plan, models = plan_of(drawn(6000, users=300, movies=200), settings, blocks=8, **options), []
    for threads in (1, 2, 3, 7):
        engine = engine_on(plan, CpuEngine, torch.float32, threads)
        run_epochs(engine)
        engine.close()
        models.append(engine.model.state_dict())
    for other in models[1:]:
        assert all(torch.equal(other[name], table) for name, table in models[0].items())


@pytest.mark.parametrize("adam", ADAMS)
def test_the_monitor_gets_the_same_records_as_from_autograd(adam: str) -> None:
    records: dict[str, list[Any]] = {"fused": [], "autograd": []}
    for engine, received in records.items():
        settings = TrainSettings(embedding_dim=5, epochs=2, batch_size=64, engine=engine, adam=adam, init_std=0.1)
        plan = TrainingPlan.of(
            drawn(900, 50, 30), None, num_users=50, num_movies=30, settings=settings,
            monitor=MonitorSettings(sample_every=1),
        )  # fmt: skip
        fit(plan, on_record=received.append)
    ours, theirs = ([each for each in received if not isinstance(each, StepProgress)] for received in records.values())
    assert_same_samples(ours, theirs)
    assert sum(isinstance(record, StepBlock) for record in ours) == 2
    assert sum(isinstance(record, StepSample) for record in ours) == 28
