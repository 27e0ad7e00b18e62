"""Which rows a batch looked up, and how popular they are."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

#: Parts the rated rows are divided into by popularity.
DECILES = 10
#: Up to this batch size the CPU counts distinct rows faster by sorting them than by counting each.
_SORTED_BATCH = 512
#: Most marks set at a time, in bytes.
_MARKS = 2**24


@dataclass(frozen=True, eq=False)
class TouchedRows:
    """The distinct rows of one side of a batch.

    Attributes:
        rows: Row numbers, int64, shape (R,).
        counts: How often the batch looks each of them up, float32, shape (R,).
        kept: False where a row is a repeat that does not count, bool, shape (R,); None: there is none.
        number: How many distinct rows there are; a scalar of the device where that is not known without waiting.
    """

    rows: Tensor
    counts: Tensor
    kept: Tensor | None
    number: Tensor | int

    @classmethod
    def of(cls, index: Tensor, num_rows: int) -> "TouchedRows":
        """Find the distinct rows of a batch, without waiting for the device.

        On the CPU each row is there once. Elsewhere the number of distinct rows is not known without
        waiting, so all B entries stay, sorted, and `kept` marks the first of each row.

        Args:
            index: Rows looked up, integers in [0, num_rows), shape (B,).
            num_rows: Rows of the table.
        """
        if index.device.type == "cpu":
            return cls.compact(index, num_rows)
        return cls.padded(index, num_rows)

    @classmethod
    def compact(cls, index: Tensor, num_rows: int) -> "TouchedRows":
        """Find the rows where reading a number back costs nothing."""
        counts = _occurrences(index, num_rows)
        rows = counts.nonzero().squeeze(1)
        return cls(rows, counts[rows], None, len(rows))

    @classmethod
    def padded(cls, index: Tensor, num_rows: int) -> "TouchedRows":
        """Find the rows at a fixed size, repeats masked."""
        rows = index.long().sort().values
        kept = torch.ones_like(rows, dtype=torch.bool)
        kept[1:] = rows[1:] != rows[:-1]
        return cls(rows, _occurrences(index, num_rows)[rows], kept, kept.sum())

    def take(self, table: Tensor) -> Tensor:
        """Return the rows of a table, zero where a row is a repeat; shape (R, K)."""
        taken = table[self.rows]
        return taken if self.kept is None else torch.where(self.kept.unsqueeze(1), taken, 0.0)


def _occurrences(index: Tensor, num_rows: int) -> Tensor:
    ones = torch.ones((), device=index.device).expand(len(index))
    return torch.zeros(num_rows, device=index.device).index_add_(0, index, ones)


def rows_touched(index: Tensor, num_rows: int) -> Tensor:
    """Count the distinct rows of each of S batches, without waiting for the device.

    Args:
        index: Rows looked up, integers in [0, num_rows), shape (S, B).
        num_rows: Rows of the table.

    Returns:
        Counts, int64, shape (S,).
    """
    if index.device.type != "cpu":
        size = max(1, _MARKS // num_rows)
        return torch.cat([_marked(index[first : first + size], num_rows) for first in range(0, len(index), size)])
    if index.shape[1] > _SORTED_BATCH:
        return torch.tensor([np.count_nonzero(np.bincount(batch)) for batch in index.numpy()])
    ordered = np.sort(index.numpy(), axis=1)
    return torch.from_numpy((ordered[:, 1:] != ordered[:, :-1]).sum(axis=1) + 1)


def _marked(index: Tensor, num_rows: int) -> Tensor:
    marks = torch.zeros(len(index), num_rows, dtype=torch.bool, device=index.device)
    return marks.scatter_(1, index.long(), True).sum(dim=1)


def popularity_deciles(counts: Tensor) -> Tensor:
    """Divide the rated rows into ten parts of the same number of rows by how often they are rated.

    Args:
        counts: Ratings of each row, shape (rows,).

    Returns:
        Part of each row from 0, the rarest, to 9, int64, shape (rows,); equals are divided by row
        number, and rows without a rating are in part 0.
    """
    order = counts.argsort(stable=True)
    cold = int((counts == 0).sum())
    rated = order[cold:]
    deciles = torch.zeros_like(order)
    deciles[rated] = torch.arange(len(rated), device=counts.device) * DECILES // max(len(rated), 1)
    return deciles
