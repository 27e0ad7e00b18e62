"""The tables of the compiled engine: each row padded, laid out as `row_layout` has it."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from cfmodel.model import CollaborativeFiltering
from cfmodel.tables import Side
from cfmodel.training.engines.cpu.kernels import PaddedSide
from cfmodel.training.engines.row_layout import bias_column, table_parts

#: Bytes of a cache line, where rows begin.
_ALIGNMENT = 64
#: Rows are padded to a multiple of so many numbers: what one instruction takes.
_LANES = 8


def padded_side(model: CollaborativeFiltering, side: Side, groups: int, lanes: int, dtype: Any) -> PaddedSide:
    """Move one side's tables into padded rows, of which they become views; each lane has room for so many groups."""
    tables, rows, dim = model.weights(), model.num_rows[side], model.embedding_dim
    width = -(-(dim + 2) // _LANES) * _LANES
    weights, first, second = (_zeros(rows, width, dtype) for _ in range(3))
    for name, view in views_of(weights, side, dim).items():
        tables[name].data = view.copy_(tables[name].detach())
    weights[:, 2 * dim + 1 - bias_column(side, dim)] = 1
    gradient = _zeros(groups * lanes + 1, width, dtype)
    return PaddedSide(weights, first, second, gradient, np.arange(lanes) * groups, np.full(rows, -1, np.int32))


def views_of(rows: Any, side: Side, dim: int) -> dict[str, Tensor]:
    """Return a side's tables as parts of padded rows, by name, sharing their memory."""
    return table_parts(torch.from_numpy(rows), side, dim)


def _zeros(rows: int, width: int, dtype: Any) -> Any:
    """Return zeros that begin with a cache line, shape (rows, width)."""
    length = rows * width * np.dtype(dtype).itemsize
    room = np.zeros(length + _ALIGNMENT, np.uint8)
    first = -room.ctypes.data % _ALIGNMENT
    return room[first : first + length].view(dtype).reshape(rows, width)
