"""Matrices as flat arrays, and the range in which a float32 sum of squares is exact. See test_table_probe.py, too."""

import numpy as np
import torch

from cfmodel.gradients.measuring.table_probe_cpu import FlatRows, in_float32_range, is_float32_on_cpu


def test_a_matrix_with_contiguous_rows_is_not_copied() -> None:
    whole = torch.arange(12.0).view(3, 4)
    rows = FlatRows.of(whole[:, 1:3])
    assert (rows.stride, rows.dim) == (4, 2)
    assert [rows.values[row * rows.stride : row * rows.stride + 2].tolist() for row in range(3)] == [
        [1.0, 2.0], [5.0, 6.0], [9.0, 10.0],
    ]  # fmt: skip
    whole[1, 1] = -1.0
    assert rows.values[4] == -1.0
    assert FlatRows.of(whole.T).values.tolist() == whole.T.flatten().tolist()
    assert len(FlatRows.of(whole[:0]).values) == 0


def test_only_float32_on_the_cpu_is_compiled_for() -> None:
    assert is_float32_on_cpu(torch.ones(1), torch.ones(2, 2))
    assert not is_float32_on_cpu(torch.ones(1), torch.ones(1).double())
    assert not is_float32_on_cpu(torch.ones(1, device="meta"))


def test_sums_that_may_have_lost_digits_are_outside_the_range() -> None:
    for value, inside in ((0.0, False), (1e-30, False), (1.0, True), (1e30, True), (np.inf, False), (np.nan, False)):
        assert in_float32_range(np.float32(value)) is inside
