"""Measurements of one table at one step, by tensor operations and compiled."""

import numpy as np
import pytest
import torch

from cfmodel.gradients.measuring.table_probe import SampledTable, TableMeasurements, TensorTableProbe
from cfmodel.gradients.measuring.table_probe_cpu import CompiledTableProbe, SampledTableCpu
from cfmodel.gradients.measuring.touched_rows import TouchedRows

ROWS, TOUCHED = 40, torch.tensor([3, 4, 17, 39])
EXACT = ("gradient_counts", "zeros", "infinities", "row_norm_counts", "number")


def measured_by(
    compiled: bool, *, dim: int, size: float, whole: bool, dtype: torch.dtype = torch.float32
) -> TableMeasurements:
    rng = torch.Generator().manual_seed(0)
    # Drawn in float32, so that float64 starts from the same numbers.
    table, gradient, step = (torch.randn(ROWS, dim, generator=rng).mul(size).to(dtype) for _ in range(3))
    gradient = gradient[: len(TOUCHED)].clone()
    deciles, copy = torch.arange(ROWS) % 10, torch.empty_like(table) if whole else None
    penalty = torch.linspace(0.05, 0.2, ROWS)
    probe = (
        CompiledTableProbe(SampledTableCpu(table, "user", deciles, penalty, copy))
        if compiled
        else TensorTableProbe(SampledTable(table, "user", deciles, penalty, copy))
    )
    lookups = torch.tensor([1.0, 2.0, 1.0, 4.0])
    probe.measure_gradients(TouchedRows(TOUCHED, lookups, None, torch.tensor(4)), gradient, batch_size=8)
    table += step
    probe.measure_update()
    return probe.read()


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e25])
@pytest.mark.parametrize("dim", [1, 3, 50])
def test_a_compiled_probe_measures_what_tensor_operations_measure_in_float64(
    dim: int, size: float, whole: bool
) -> None:
    measured = measured_by(True, dim=dim, size=size, whole=whole)
    expected = measured_by(False, dim=dim, size=size, whole=whole, dtype=torch.float64)
    for name in ("weight_norm", "data_norm", "moved", "ghost", "absolute"):
        assert getattr(measured, name) == pytest.approx(getattr(expected, name), rel=1e-4, abs=0), name
    assert measured.number == expected.number
    assert np.count_nonzero(measured.energy) == len(set((TOUCHED % 10).tolist()))


@pytest.mark.parametrize("whole", [True, False])
def test_counts_are_those_of_tensor_operations_exactly(whole: bool) -> None:
    measured, expected = (measured_by(compiled, dim=50, size=1.0, whole=whole) for compiled in (True, False))
    for name in EXACT:
        np.testing.assert_array_equal(getattr(measured, name), getattr(expected, name))


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("whole", [True, False])
def test_both_probes_measure_a_step_worked_by_hand(compiled: bool, whole: bool) -> None:
    table, copy = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0]]), torch.empty(3, 2) if whole else None
    kind = SampledTableCpu if compiled else SampledTable
    probe = kind(table, "user", torch.tensor([9, 0, 5]), torch.tensor([0.5, 9.0, 1.0]), copy).probe()
    touched = TouchedRows(torch.tensor([0, 2]), torch.tensor([2.0, 1.0]), None, 2)
    # The penalty's part is 2 / 4 * penalty * lookups * weights: (1.5, 2) and (0, 1).
    probe.measure_gradients(touched, torch.tensor([[1.5, 2.0], [3.0, 1.0]]), batch_size=4)
    assert probe.squares(torch.tensor([2, 0, 2])).tolist() == [4.0, 25.0, 4.0]
    table += torch.tensor([[0.0, -1.0], [2.0, 0.0], [2.0, 2.0]])
    probe.measure_update()
    found = probe.read()
    assert (found.number, found.zeros, found.infinities) == (2, 0, 0)
    assert found.energy.tolist() == pytest.approx([0, 0, 0, 0, 0, 10.0, 0, 0, 0, 6.25])
    assert (found.weight_norm, found.data_norm) == pytest.approx((29**0.5, 3.0))
    assert (found.moved, found.ghost, found.absolute) == pytest.approx((3.0, 2.0 if whole else 0.0, 5.0))
    sample = found.sample(rows=3, dim=2, learning_rate=0.5)
    assert sample.update_to_weight == pytest.approx(3 / 29**0.5)
    assert sample.ghost_share == pytest.approx(4 / 13 if whole else 0.0)
    assert sample.adam_step == pytest.approx(5.0 / 4 / 0.5)
