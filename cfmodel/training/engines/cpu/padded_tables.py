"""How the fused engine keeps tables: each row padded, embedding and bias side by side."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from cfmodel.model import CollaborativeFiltering
from cfmodel.training.engines.cpu.kernels import Side
from cfmodel.training.engines.row_layout import bias_column, table_part

#: Bytes of a cache line, where rows begin.
_ALIGNMENT = 64
#: Rows are padded to a multiple of so many numbers: what one instruction takes.
_LANES = 8


def padded_side(model: CollaborativeFiltering, name: str, groups: int, lanes: int, dtype: Any) -> Side:
    """Move one side's tables into padded rows, of which they become views; each lane has room for so many groups."""
    embeddings, biases = (
        model.get_submodule(f"{name}_{kind}").get_parameter("weight") for kind in ("embeddings", "biases")
    )
    rows, dim = embeddings.shape
    width = -(-(dim + 2) // _LANES) * _LANES
    weights, first, second = (_zeros(rows, width, dtype) for _ in range(3))
    bias = bias_column(name, dim)
    weights[:, :dim], weights[:, bias] = embeddings.numpy(force=True), biases.numpy(force=True)[:, 0]
    weights[:, 2 * dim + 1 - bias] = 1
    embeddings.data, biases.data = (table_view(weights, f"{name}_{kind}", dim) for kind in ("embeddings", "biases"))
    gradient = _zeros(groups * lanes + 1, width, dtype)
    return Side(weights, first, second, gradient, np.arange(lanes) * groups, np.full(rows, -1, np.int32))


def table_view(rows: Any, name: str, dim: int) -> Tensor:
    """Return a table's part of padded rows, shape (rows, K) or (rows, 1), sharing their memory."""
    return table_part(torch.from_numpy(rows), name, dim)


def _zeros(rows: int, width: int, dtype: Any) -> Any:
    """Return zeros that begin with a cache line, shape (rows, width)."""
    length = rows * width * np.dtype(dtype).itemsize
    room = np.zeros(length + _ALIGNMENT, np.uint8)
    first = -room.ctypes.data % _ALIGNMENT
    return room[first : first + length].view(dtype).reshape(rows, width)
