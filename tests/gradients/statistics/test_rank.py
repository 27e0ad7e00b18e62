"""The effective rank of a table: what holds whatever the table is."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from cfmodel.gradients.statistics.rank import RANK_ROWS, effective_rank, spacing


def test_the_rank_depends_neither_on_the_scale_nor_on_a_rotation_of_the_columns() -> None:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(100, 6, generator=generator) * torch.tensor([5.0, 3.0, 1.0, 1.0, 0.1, 0.1])
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=generator)).Q
    found = effective_rank(table)
    assert 1 < found < 6
    assert effective_rank(1000 * table) == pytest.approx(found, rel=1e-4)
    assert effective_rank(table @ rotation) == pytest.approx(found, rel=1e-3)


def test_two_directions_of_unequal_length_have_a_rank_worked_by_hand() -> None:
    # Singular values 3 and 1: shares 3/4 and 1/4, and exp(-3/4 log 3/4 - 1/4 log 1/4).
    assert effective_rank(torch.tensor([[3.0, 0.0], [0.0, 1.0]])) == pytest.approx(1.7547654, abs=1e-6)


def test_enough_rows_are_left_for_each_column() -> None:
    assert spacing(100, 8) == 1
    assert spacing(RANK_ROWS * 8 * 5 + 3, 8) == 5


def test_the_effective_rank_is_that_of_the_singular_values() -> None:
    rng = np.random.default_rng(0)
    for table in (rng.standard_normal((200, 8)), rng.standard_normal((50, 2)) @ rng.standard_normal((2, 8))):
        values = np.linalg.svd(table, compute_uv=False)
        shares = values[values > 1e-9] / values.sum()
        expected = math.exp(-(shares * np.log(shares)).sum())
        assert effective_rank(torch.tensor(table, dtype=torch.float32)) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("dim", [200, 256, 1024])
def test_a_few_directions_among_many_columns_are_counted(dim: int) -> None:
    rng = torch.Generator().manual_seed(0)
    few = torch.randn(3000, 5, generator=rng) @ torch.randn(5, dim, generator=rng)
    values = np.linalg.svd(few.numpy(), compute_uv=False)[:5]
    shares = values / values.sum()
    assert effective_rank(few) == pytest.approx(math.exp(-(shares * np.log(shares)).sum()), rel=0.05)
    assert effective_rank(torch.ones(300, dim)) == pytest.approx(1.0, abs=0.01)
    assert 120 < effective_rank(torch.randn(5000, dim, generator=rng)) <= 128


def test_a_table_of_one_direction_has_rank_one_and_an_identity_full_rank() -> None:
    assert effective_rank(torch.ones(10, 4)) == pytest.approx(1.0, abs=0.01)
    assert effective_rank(torch.eye(4)) == pytest.approx(4.0)


@pytest.mark.parametrize("table", [torch.zeros(3, 2), torch.full((3, 2), math.nan), torch.full((3, 2), math.inf)])
def test_a_table_that_is_zero_or_not_finite_has_no_rank(table: Tensor) -> None:
    assert math.isnan(effective_rank(table))
