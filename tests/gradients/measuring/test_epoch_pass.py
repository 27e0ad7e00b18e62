"""One pass over a table, compiled and by tensor operations."""

import math

import numpy as np
import pytest
import torch

from cfmodel.gradients.measuring.epoch_pass import CompiledPass, TablePass, TensorPass, table_pass_for
from cfmodel.gradients.recording.gradient_records import QUANTILES
from cfmodel.gradients.statistics.rank import effective_rank


@pytest.mark.parametrize("kind", [CompiledPass, TensorPass])
@pytest.mark.parametrize("dim", [1, 3, 50])
def test_both_passes_measure_what_numpy_computes(kind: type[TablePass], dim: int) -> None:
    rng = torch.Generator().manual_seed(0)
    table, moment, start = (torch.randn(90, dim, generator=rng) for _ in range(3))
    counts, cold = torch.arange(90) % 9, torch.arange(0, 90, 9)
    moment[7::9] = 0.0
    measured = kind(table, counts, cold, start[cold], with_rank=True).measure(moment, epochs=1)  # type: ignore[call-arg]
    plain = table.double().numpy()
    norms = np.linalg.norm(plain, axis=1)
    np.testing.assert_allclose(measured.norms, norms, rtol=1e-6)
    np.testing.assert_allclose(measured.quantiles, np.quantile(norms, QUANTILES), rtol=1e-6)
    leak = (plain.mean(axis=0) ** 2).sum() / (norms**2).mean()
    moved = np.linalg.norm(plain[cold] - start.double().numpy()[cold])
    assert (measured.dead_rows, measured.dead_row_examples) == (10, (7, 16, 25, 34, 43))
    assert measured.mean_leak == pytest.approx(leak, rel=1e-4)
    assert (measured.cold_moved, measured.cold_norm) == pytest.approx((moved, np.linalg.norm(plain[cold])), rel=1e-5)
    assert measured.effective_rank == pytest.approx(effective_rank(table), rel=1e-4)


def test_the_pass_is_compiled_for_float32_alone() -> None:
    table, none = torch.ones(3, 2), torch.arange(0)
    for dtype, kind in ((torch.float32, CompiledPass), (torch.float64, TensorPass)):
        found = table_pass_for(
            table.to(dtype), torch.ones(3, dtype=torch.int64), none, table[:0].to(dtype), with_rank=False
        )
        assert type(found) is kind


@pytest.mark.parametrize("dim", [1, 3, 50, 200])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e25])
def test_a_compiled_pass_measures_what_tensor_operations_measure_in_float64(dim: int, size: float) -> None:
    rng = torch.Generator().manual_seed(0)
    # Rows with padding, as in the engine for the CPU.
    table, moment, start = (torch.randn(1001, 216, generator=rng)[:, :dim] * size for _ in range(3))
    table *= torch.rand(dim, generator=rng)
    counts, cold = torch.arange(1001) % 9, torch.arange(0, 1001, 9)
    moment[7::9], moment[8, 0], moment[4::9] = 0.0, 0.0, 0.0
    seen = CompiledPass(table, counts, cold, start[cold], with_rank=True)
    plain = TensorPass(table.double(), counts, cold, start[cold].double(), with_rank=True)
    found, expected = seen.measure(moment, epochs=1), plain.measure(moment.double(), epochs=1)
    np.testing.assert_allclose(found.norms, expected.norms, rtol=1e-6)
    np.testing.assert_allclose(found.quantiles, np.quantile(expected.norms, QUANTILES), rtol=1e-6)
    assert found.mean_leak == pytest.approx(expected.mean_leak, rel=1e-5)
    assert found.dead_rows == expected.dead_rows == 111 + (dim == 1)
    assert (
        found.dead_row_examples
        == expected.dead_row_examples
        == ((7, 8, 16, 25, 34) if dim == 1 else (7, 16, 25, 34, 43))
    )
    assert (found.cold_moved, found.cold_norm) == pytest.approx((expected.cold_moved, expected.cold_norm), rel=1e-6)
    if size == 1:  # other products are outside the range of float32
        assert found.effective_rank == pytest.approx(expected.effective_rank, rel=1e-4)
        assert found.effective_rank == pytest.approx(effective_rank(table), rel=1e-4)
    assert (found.norms == seen.norms()).all()
    assert seen.measure(None, epochs=99).dead_rows == plain.measure(None, epochs=99).dead_rows == 0


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 31, 33, 130, 1700])
def test_the_products_of_columns_are_added_up_over_evenly_spaced_rows(rows: int) -> None:
    table = torch.randn(rows, 24, generator=torch.Generator().manual_seed(0))[:, :13]
    seen = CompiledPass(table, torch.ones(rows, dtype=torch.int64), torch.arange(0), table[:0], with_rank=True)
    assert seen.measure(None, epochs=1).effective_rank == pytest.approx(effective_rank(table), rel=1e-3)


def test_a_pass_over_rows_that_are_not_finite_has_results_that_are_not_finite() -> None:
    table = torch.tensor([[1.0, math.nan], [math.inf, 0.0], [3.0, 4.0]])
    seen = CompiledPass(table, torch.ones(3, dtype=torch.int64), torch.arange(0), table[:0], with_rank=True)
    found = seen.measure(None, epochs=1)
    assert found.norms.tolist()[1:] == [math.inf, 5.0]
    assert math.isnan(found.norms[0])
    assert math.isnan(found.mean_leak)
    assert found.effective_rank is not None
    assert math.isnan(found.effective_rank)
    assert found.quantiles[0] == math.inf
