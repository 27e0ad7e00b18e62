"""Measurements of one sampled step."""

import math

import numpy as np
import pytest
import torch

from cfmodel.gradients.measuring.probe import Position, Probe, noise_and_signal, per_sample_norms
from cfmodel.gradients.measuring.step_scalars import StepReducer
from cfmodel.gradients.measuring.stopwatch import Stopwatch, clock_of
from cfmodel.gradients.measuring.table_probe import SampledTable
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.monitor_setup import sensitivity_of


def test_a_sampled_step_reads_nothing_back_from_a_device() -> None:
    # Tensors of the meta device have shapes and no values: an operation that needs a value fails.
    meta = torch.device("meta")
    rows = {"user": 50, "movie": 30}
    tables = {}
    for table in CollaborativeFiltering.TABLES:
        shape = rows[table.side], table.width or 4
        weights = torch.empty(shape, device=meta)
        weights.grad = torch.empty(shape, device=meta)
        deciles = torch.zeros(len(weights), dtype=torch.int64, device=meta)
        penalty = torch.empty(len(weights), device=meta)
        tables[table.name] = SampledTable(weights, table.side, deciles, penalty, torch.empty_like(weights))
    index = torch.zeros(32, dtype=torch.int32, device=meta)
    probe = Probe(
        Position("fit", 1, 1, 0.003), tables, sensitivity_of(CollaborativeFiltering), Stopwatch(clock_of(meta))
    )
    probe.measure_gradients({"user": index, "movie": index}, torch.empty(32, device=meta))
    probe.measure_update()
    reducer = StepReducer(rows, 32)
    reducer.begin({"user": index, "movie": index}, [32], count_rows=True)
    reducer.add(torch.empty(32, device=meta))
    reducer.reduce_errors()
    reducer.count_rows()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["compiled", "tensors"])
@pytest.mark.parametrize("tables", [0, 1, 2, 3])
def test_per_sample_norms_are_twice_the_error_times_the_norm_of_the_derivative(dtype: torch.dtype, tables: int) -> None:
    rng = np.random.default_rng(0)
    error, squares = rng.standard_normal(50), [rng.random(50) for _ in range(tables)]
    found = per_sample_norms(
        torch.tensor(error, dtype=dtype), [torch.tensor(each, dtype=dtype) for each in squares], constant=2
    )
    assert found.dtype == dtype
    np.testing.assert_allclose(found, 2 * np.abs(error) * np.sqrt(sum(squares, np.full(50, 2.0))), rtol=1e-5)


def test_noise_and_signal_are_unbiased() -> None:
    rng, size = np.random.default_rng(0), 8
    samples = np.array([1.0, -2.0]) + rng.standard_normal((20_000, size, 2)) * [1.0, 3.0]
    found = [
        noise_and_signal((batch**2).sum(axis=1).mean(), (batch.mean(axis=0) ** 2).sum(), size) for batch in samples
    ]
    trace, signal = np.mean(found, axis=0)
    assert trace == pytest.approx(10.0, rel=0.02)
    assert signal == pytest.approx(5.0, rel=0.03)
    assert all(math.isnan(each) for each in noise_and_signal(1.0, 1.0, 1))
