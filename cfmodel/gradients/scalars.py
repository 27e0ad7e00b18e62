"""The largest error and the rows touched of every step, reduced many steps at a time.

A reduction costs a few microseconds to launch whatever its size, as much as a small step can spend
on recording altogether. So errors are kept as they are and reduced together.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from cfmodel.gradients.records import Counts, Floats
from cfmodel.gradients.touched import rows_touched

#: Most steps reduced at a time, and most errors, unless one step has more.
BLOCK_STEPS, BLOCK_ERRORS = 256, 2**20
#: What stands for a number of rows that was not counted.
NOT_COUNTED = -1


class StepScalars(NamedTuple):
    """An epoch's steps on the host, each of shape (S,); see `StepBlock`."""

    largest_error: Floats
    user: Counts
    movie: Counts
    rows_touched: dict[str, Counts]


class StepReducer:
    """Keeps what the steps of an epoch leave behind, on the device, and reduces it in blocks.

    Args:
        num_rows: Rows of each side's tables.
        batch_size: Ratings in a step; the last of an epoch may have fewer.
    """

    def __init__(self, num_rows: Mapping[str, int], batch_size: int) -> None:
        self._num_rows, self._batch_size = num_rows, batch_size
        self._block = max(1, min(BLOCK_STEPS, BLOCK_ERRORS // batch_size))
        self._errors: Tensor | None = None
        self._lengths: list[int] = []

    def begin(self, index: Mapping[str, Tensor], *, count_rows: bool) -> None:
        """Begin an epoch whose ratings look up these rows, each of shape (N,), in this order."""
        self._index, self._count_rows = index, count_rows
        self._lengths = []
        self._reduced = self._counted = 0
        self._largest: list[Tensor] = []
        self._positions: list[Tensor] = []
        self._touched: dict[str, list[Tensor]] = {side: [] for side in index}

    def add(self, error: Tensor) -> bool:
        """Keep one step's errors, shape (B,); return whether a block is full."""
        if self._errors is None:
            # One for all steps: tensors that outlive their step would scatter over the memory that
            # steps allocate and free, and keep it from being used again.
            self._errors = error.new_empty(self._block, self._batch_size)
            # A row found beforehand costs a third of one looked up in the step.
            self._rows = self._errors.unbind(0)
        row = self._rows[len(self._lengths)]
        (row if len(error) == self._batch_size else row[: len(error)]).copy_(error)
        self._lengths.append(len(error))
        return len(self._lengths) == self._block

    @property
    def waiting(self) -> int:
        """Steps not reduced yet."""
        return len(self._lengths)

    def reduce_errors(self) -> None:
        """Find the largest error of each step that waits, and where in the epoch it is."""
        for errors in self._same_length():
            largest, column = errors.abs().max(dim=1)
            first = torch.arange(self._reduced, self._reduced + len(errors), device=column.device)
            self._largest.append(largest)
            self._positions.append(column + first * self._batch_size)
            self._reduced += len(errors)
        self._lengths = []

    def count_rows(self) -> None:
        """Count the rows of each step whose errors are reduced."""
        size, last = self._batch_size, self._reduced
        for side, index in self._index.items():
            part = index[self._counted * size : last * size]
            whole = len(part) // size * size
            for rows in (part[:whole].view(-1, size), part[whole:].view(1, -1)):
                if rows.numel():
                    self._touched[side].append(self._count(rows, side))
        self._counted = last

    def read(self) -> StepScalars:
        """Bring the epoch to the host."""
        position = torch.cat(self._positions)
        user, movie = (self._index[side][position].long().cpu().numpy() for side in ("user", "movie"))
        touched = {side: torch.cat(parts).cpu().numpy() for side, parts in self._touched.items()}
        return StepScalars(torch.cat(self._largest).double().cpu().numpy(), user, movie, touched)

    def _count(self, rows: Tensor, side: str) -> Tensor:
        if not self._count_rows:
            return torch.full((len(rows),), NOT_COUNTED, device=rows.device)
        return rows_touched(rows, self._num_rows[side])

    def _same_length(self) -> list[Tensor]:
        """Part the short last batch of an epoch from the others."""
        if self._errors is None or not self._lengths:
            return []
        whole = len(self._lengths) - (self._lengths[-1] != self._batch_size)
        short = self._errors[whole : len(self._lengths), : self._lengths[-1]]
        return [part for part in (self._errors[:whole], short) if len(part)]
