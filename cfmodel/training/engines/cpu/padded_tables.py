"""Padded tables for the compiled steps, in the layout of `row_layout`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cfmodel.model import CollaborativeFiltering
from cfmodel.tables import Side
from cfmodel.training.engines.cpu.intrinsics import CACHE_LINE
from cfmodel.training.engines.cpu.kernels import PaddedSide
from cfmodel.training.engines.row_layout import bias_column, row_width, table_parts

#: Rows are padded to a multiple of this many numbers: the operands of one instruction.
_LANES = 8


def padded_side(
    model: CollaborativeFiltering, side: Side, penalty: Mapping[str, Tensor], groups: int, lanes: int, dtype: Any
) -> PaddedSide:
    """Move one side's tables into padded rows, with memory for this many groups' gradients per lane.

    `penalty` has the weights of each table's rows.

    The model's tables become views of the rows.
    """
    tables, rows, dim = model.weights(), model.num_rows[side], model.embedding_dim
    width = row_width(dim, _LANES)
    weights, first, second = (_zeros(rows, width, dtype) for _ in range(3))
    for name, view in views_of(weights, side, dim).items():
        tables[name].data = view.copy_(tables[name].detach())
    weights[:, 2 * dim + 1 - bias_column(side, dim)] = 1
    of_rows = [penalty[name].numpy() for name in views_of(weights, side, dim)]
    gradient = _zeros(groups * lanes + 1, width, dtype)
    return PaddedSide(
        weights,
        np.stack(of_rows, axis=1).astype(dtype),
        first,
        second,
        gradient,
        np.arange(lanes) * groups,
        np.full(rows, -1, np.int32),
    )


def views_of(rows: Any, side: Side, dim: int) -> dict[str, Tensor]:
    """Return a side's tables as views of padded rows, by name."""
    return table_parts(torch.from_numpy(rows), side, dim)


def _zeros(rows: int, width: int, dtype: Any) -> Any:
    """Return zeros aligned to a cache line, shape (rows, width)."""
    length = rows * width * np.dtype(dtype).itemsize
    memory = np.zeros(length + CACHE_LINE, np.uint8)
    first = -memory.ctypes.data % CACHE_LINE
    return memory[first : first + length].view(dtype).reshape(rows, width)
