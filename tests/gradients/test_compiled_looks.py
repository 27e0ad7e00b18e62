"""The two looks at a table, by tensor operations and compiled, find the same."""

import numpy as np
import pytest
import torch

from cfmodel.gradients.measuring.table_look import Found, SampledTable, TensorLook
from cfmodel.gradients.measuring.table_look_cpu import CompiledLook, SampledTableCpu
from cfmodel.gradients.measuring.touched_rows import TouchedRows

ROWS, TOUCHED = 40, torch.tensor([3, 4, 17, 39])
EXACT = ("gradient_counts", "zeros", "infinities", "row_norm_counts", "number")


def found_by(compiled: bool, *, dim: int, size: float, whole: bool, dtype: torch.dtype = torch.float32) -> Found:
    rng = torch.Generator().manual_seed(0)
    # Drawn in float32, so that float64 starts from the same numbers.
    table, gradient, step = (torch.randn(ROWS, dim, generator=rng).mul(size).to(dtype) for _ in range(3))
    gradient = gradient[: len(TOUCHED)].clone()
    deciles, copy = torch.arange(ROWS) % 10, torch.empty_like(table) if whole else None
    look = (
        CompiledLook(SampledTableCpu(table, "user", deciles, 0.1, copy))
        if compiled
        else TensorLook(SampledTable(table, "user", deciles, 0.1, copy))
    )
    lookups = torch.tensor([1.0, 2.0, 1.0, 4.0])
    look.before(TouchedRows(TOUCHED, lookups, None, torch.tensor(4)), gradient, batch_size=8)
    table += step
    look.after()
    return look.read()


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e25])
@pytest.mark.parametrize("dim", [1, 3, 50])
def test_a_compiled_look_finds_what_tensor_operations_find_in_float64(dim: int, size: float, whole: bool) -> None:
    seen = found_by(True, dim=dim, size=size, whole=whole)
    expected = found_by(False, dim=dim, size=size, whole=whole, dtype=torch.float64)
    for name in ("weight_norm", "data_norm", "moved", "ghost", "absolute"):
        assert getattr(seen, name) == pytest.approx(getattr(expected, name), rel=1e-4, abs=0), name
    assert seen.number == expected.number
    assert np.count_nonzero(seen.energy) == len(set((TOUCHED % 10).tolist()))


@pytest.mark.parametrize("whole", [True, False])
def test_counts_are_those_of_tensor_operations_exactly(whole: bool) -> None:
    seen, expected = (found_by(compiled, dim=50, size=1.0, whole=whole) for compiled in (True, False))
    for name in EXACT:
        np.testing.assert_array_equal(getattr(seen, name), getattr(expected, name))
