"""The rows of a batch, and the popularity of rows."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

#: Parts of the rated rows by popularity.
DECILES = 10
#: Largest batch for which the CPU counts distinct rows faster by sorting than with `bincount`.
_SORTED_BATCH = 512
#: Largest mask of `count_by_mask`, in bytes.
_MASK_BYTES = 2**24


@dataclass(frozen=True, eq=False)
class TouchedRows:
    """The distinct rows of one side of a batch.

    Attributes:
        rows: Row numbers, int64, shape (R,).
        counts: Ratings of each of them in the batch, float32, shape (R,).
        kept: False for repeated rows, which do not count, bool, shape (R,); None: there are none.
        number: Number of distinct rows; a scalar on the device if the host would have to wait for it.
    """

    rows: Tensor
    counts: Tensor
    kept: Tensor | None
    number: Tensor | int

    @classmethod
    def of(cls, index: Tensor, num_rows: int) -> "TouchedRows":
        """Find the distinct rows of a batch, without waiting for the device.

        On the CPU each row is there once. On other devices the host does not know the number of distinct rows,
        so there are B sorted rows, and `kept` marks the first of each.

        Args:
            index: Rows of the batch, integers in [0, num_rows), shape (B,).
            num_rows: Rows of the table.
        """
        if index.device.type == "cpu":
            return cls.compact(index, num_rows)
        return cls.padded(index, num_rows)

    @classmethod
    def compact(cls, index: Tensor, num_rows: int) -> "TouchedRows":
        """Find the rows, each once, for the CPU: the twin of `padded`."""
        counts = _occurrences(index, num_rows)
        rows = counts.nonzero().squeeze(1)
        return cls(rows, counts[rows], None, len(rows))

    @classmethod
    def padded(cls, index: Tensor, num_rows: int) -> "TouchedRows":
        """Find the rows, repeats masked, for devices that must not be waited for: the twin of `compact`."""
        rows = index.long().sort().values
        kept = torch.ones_like(rows, dtype=torch.bool)
        kept[1:] = rows[1:] != rows[:-1]
        return cls(rows, _occurrences(index, num_rows)[rows], kept, kept.sum())

    def take(self, table: Tensor) -> Tensor:
        """Return the rows of a table, zero for repeats, shape (R, K)."""
        taken = table[self.rows]
        return taken if self.kept is None else torch.where(self.kept.unsqueeze(1), taken, 0.0)


def _occurrences(index: Tensor, num_rows: int) -> Tensor:
    ones = torch.ones((), device=index.device).expand(len(index))
    return torch.zeros(num_rows, device=index.device).index_add_(0, index, ones)


def rows_touched(index: Tensor, num_rows: int) -> Tensor:
    """Count the distinct rows of each of S batches, without waiting for the device.

    Args:
        index: Rows of the batches, integers in [0, num_rows), shape (S, B).
        num_rows: Rows of the table.

    Returns:
        Counts, int64, shape (S,).
    """
    if index.device.type != "cpu":
        size = max(1, _MASK_BYTES // num_rows)
        return torch.cat([count_by_mask(index[first : first + size], num_rows) for first in range(0, len(index), size)])
    if index.shape[1] > _SORTED_BATCH:
        return torch.tensor([np.count_nonzero(np.bincount(batch)) for batch in index.numpy()])
    ordered = np.sort(index.numpy(), axis=1)
    return torch.from_numpy((ordered[:, 1:] != ordered[:, :-1]).sum(axis=1) + 1)


def count_by_mask(index: Tensor, num_rows: int) -> Tensor:
    """Count the distinct rows of each batch on any device: the twin of the counting in `rows_touched` on the CPU."""
    mask = torch.zeros(len(index), num_rows, dtype=torch.bool, device=index.device)
    return mask.scatter_(1, index.long(), True).sum(dim=1)


def popularity_deciles(counts: Tensor) -> Tensor:
    """Divide the rated rows into ten equal parts by their number of ratings.

    Args:
        counts: Ratings of each row, shape (rows,).

    Returns:
        Part of each row from 0, the rarest, to 9, int64, shape (rows,). Ties are broken by row number, and rows
        without a rating are in part 0.
    """
    order = counts.argsort(stable=True)
    cold = int((counts == 0).sum())
    rated = order[cold:]
    deciles = torch.zeros_like(order)
    deciles[rated] = torch.arange(len(rated), device=counts.device) * DECILES // max(len(rated), 1)
    return deciles
