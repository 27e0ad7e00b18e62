"""Effective rank: how many directions a table uses."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cfmodel.system.compiled import FAST, compiled

#: Rows per column that are used for the rank: of 64 columns used equally, these give 63.5.
RANK_ROWS = 16
#: Most columns used for it: the work grows with their third power, to a third of a second at 1,024.
RANK_COLUMNS = 128
#: Rows whose products are summed in float32 before they are added to a sum in float64.
_BLOCK = 32


def effective_rank(table: Tensor) -> float:
    """Return how many directions a table uses.

        exp(-sum p log p),  p = s / sum s

    with the singular values s, computed as roots of the eigenvalues of the K x K Gram matrix, which is
    much less work for many rows; singular values below 0.0003 of the largest are lost in rounding. At most
    `RANK_ROWS` rows per column are used, evenly spaced. More than `RANK_COLUMNS` columns are added up into
    that many, each with a random sign: the rank stays the same if it is small, and is at most
    `RANK_COLUMNS` otherwise.

    Args:
        table: Rows, shape (rows, K).

    Returns:
        From 1 to K, or to `RANK_COLUMNS` if that is less; NaN if the table is zero or not finite.

    Sources: Roy & Vetterli, "The effective rank: a measure of effective dimensionality" (2007); for the
    columns Clarkson & Woodruff, "Low rank approximation and regression in input sparsity time" (2013).
    """
    columns = min(table.shape[1], RANK_COLUMNS)
    spaced = table[:: spacing(len(table), columns)]
    if table.shape[1] > columns:
        spaced = _folded(spaced, columns)
    return rank_from((spaced.T @ spaced).cpu().double().numpy())


def spacing(rows: int, columns: int) -> int:
    """Return the distance between the rows to use."""
    return max(1, rows // (RANK_ROWS * columns))


def rank_from(gram: npt.NDArray[np.float64]) -> float:
    """Return the effective rank from the Gram matrix of the columns, of which only the lower triangle is read."""
    if not 0 < gram.trace() < math.inf:
        return math.nan
    values = [math.sqrt(value) for value in np.linalg.eigvalsh(gram).tolist() if value > 0]
    total = sum(values)
    # -sum p log p = log(total) - sum s log s / total
    return total * math.exp(-sum(value * math.log(value) for value in values) / total)


def _folded(rows: Tensor, columns: int) -> Tensor:
    """Add up the columns into a smaller number, each with a random sign, shape (R, columns)."""
    dim = rows.shape[1]
    signs = torch.randint(0, 2, (dim,), generator=torch.Generator().manual_seed(0)).to(rows) * 2 - 1
    filled = torch.nn.functional.pad(rows * signs, (0, -dim % columns))
    found: Tensor = filled.view(len(rows), -1, columns).sum(dim=1)
    return found


@compiled(fastmath=FAST)
def add_products(table: Any, number: int, step: int, gram: Any) -> None:
    """Add every `step`-th row's products of two columns to the lower triangle of the Gram matrix.

    Args:
        table: `Rows` of C columns.
        number: Number of its rows.
        step: Distance between the rows to use.
        gram: Added to, float64, shape (C, C).
    """
    dim, stride, taken = table.dim, step * table.stride, (number + step - 1) // step
    block, zeros = np.zeros((dim, dim), np.float32), np.zeros(dim, np.float32)
    for at in range(0, taken, 4):
        # Four rows at a time; past the end they are zero.
        one = table.values[at * stride : at * stride + dim]
        two = table.values[(at + 1) * stride : (at + 1) * stride + dim] if at + 1 < taken else zeros
        three = table.values[(at + 2) * stride : (at + 2) * stride + dim] if at + 2 < taken else zeros
        four = table.values[(at + 3) * stride : (at + 3) * stride + dim] if at + 3 < taken else zeros
        for i in range(dim):
            a, b, c, d, sums = one[i], two[i], three[i], four[i], block[i]
            # Eight at a time are faster than a stop at the diagonal.
            for j in range(min((i | 7) + 1, dim)):
                sums[j] += (a * one[j] + b * two[j]) + (c * three[j] + d * four[j])
        if (at + 4) % _BLOCK == 0 or at + 4 >= taken:
            gram += block
            block[:] = 0
