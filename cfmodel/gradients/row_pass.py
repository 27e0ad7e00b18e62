"""One pass over a table at the end of an epoch: row norms, mean row, rows without a gradient so far.

On the CPU it is compiled: what a dozen tensor operations would read again and again is read once, and
between two epochs of training every operation costs several times what it costs in a loop of its own.
"""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from cfmodel.compiled import compiled
from cfmodel.gradients.rows import FAST, Rows, fits, is_on_host


class RowPass(NamedTuple):
    """What a pass over a table of R rows finds.

    Attributes:
        norms: L2 norm of each row, shape (R,).
        mean_leak: |mean row|^2 over mean |row|^2; NaN where all rows are zero.
        silent: Rows whose second moments are all exactly zero, int64; none where there are no moments.
    """

    norms: Tensor
    mean_leak: float
    silent: Tensor


def row_pass(table: Tensor, second_moment: Tensor | None = None) -> RowPass:
    """Look at every row of a table once.

    Args:
        table: Weights, shape (R, K).
        second_moment: Adam's running mean of squared gradients, shape (R, K); None: there is none.
    """
    moment = table[:0] if second_moment is None else second_moment
    if is_on_host(table, moment):
        return _compiled_pass(table, moment)
    # A row of zeros begins with one; few rows do.
    silent = (moment[:, 0] == 0).nonzero().squeeze(1)
    silent = silent[(moment[silent] == 0).all(dim=1)]
    norms = torch.linalg.vector_norm(table, dim=1)
    squares, mean = norms.square().mean(), table.mean(dim=0)
    return RowPass(norms, _ratio(float(mean.square().sum()), float(squares)), silent)


def _compiled_pass(table: Tensor, moment: Tensor) -> RowPass:
    norms, silent = np.empty(len(table), np.float32), np.zeros(len(moment), np.bool_)
    leak = _ratio(*_pass(Rows.of(table), norms, np.zeros(table.shape[1]), Rows.of(moment), silent))
    return RowPass(torch.from_numpy(norms), leak, torch.from_numpy(np.flatnonzero(silent)))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


@cache
def compile_row_pass() -> None:
    """Have it compiled, or read back, before a clock runs."""
    row_pass(torch.zeros(1, 2), torch.zeros(1, 2))


@compiled(fastmath=FAST)
def _pass(weights: Any, norms: Any, sums: Any, moments: Any, silent: Any) -> tuple[float, float]:
    """Return the squared norm of the mean row, and the mean of the squared norms."""
    dim, total = weights.dim, 0.0
    for row in range(len(norms)):
        weight = weights.values[row * weights.stride : row * weights.stride + dim]
        square = np.float32(0.0)
        for k in range(dim):
            square += weight[k] * weight[k]
            sums[k] += weight[k]
        size = np.float64(square)
        if not fits(square):
            size = np.float64(0.0)
            for k in range(dim):
                size += np.float64(weight[k]) ** 2
        total += size
        norms[row] = abs(weight[0]) if dim == 1 else np.sqrt(size)
    for row in range(len(silent)):
        k, first = 0, row * moments.stride
        while k < dim and moments.values[first + k] == 0:
            k += 1
        silent[row] = k == dim
    mean = 0.0
    for k in range(dim):
        mean += (sums[k] / len(norms)) ** 2
    return mean, total / len(norms)
