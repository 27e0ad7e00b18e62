"""The effective rank of a table: what holds whatever the table is."""

import pytest
import torch

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
