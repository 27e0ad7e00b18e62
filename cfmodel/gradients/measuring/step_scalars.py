"""The largest error and the number of rows touched of every step, reduced for many steps at a time.

Launching a reduction takes a few microseconds whatever its size, which is all that a small step may spend on
recording. So the errors of many steps are stored and reduced together.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy.typing as npt
import torch
from torch import Tensor

from cfmodel.gradients.measuring.touched_rows import rows_touched
from cfmodel.gradients.recording.gradient_records import Counts, Floats
from cfmodel.tables import SIDES

#: Most steps reduced at a time, and most errors, unless one step has more.
_BLOCK_STEPS, _BLOCK_ERRORS = 256, 2**20
#: In place of a number of rows that was not counted.
_NOT_COUNTED = -1


class StepScalars(NamedTuple):
    """Numbers of S steps on the host, each of shape (S,); see `StepBlock`."""

    largest_error: Floats
    user: Counts
    movie: Counts
    rows_touched: dict[str, Counts]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all of it by name."""
        touched = {_touched_key(side): self.rows_touched[side] for side in SIDES}
        return {"largest_error": self.largest_error, "user": self.user, "movie": self.movie, **touched}

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Return the scalars whose `arrays` are given, possibly among others."""
        touched: dict[str, Counts] = {side: arrays[_touched_key(side)] for side in SIDES}
        return cls(arrays["largest_error"], arrays["user"], arrays["movie"], touched)


def _touched_key(side: str) -> str:
    return f"{side}s_touched"


class StepReducer:
    """Stores the errors of an epoch's steps on the device, and reduces them in blocks.

    Args:
        num_rows: Rows of each side's tables.
        batch_size: About how many ratings a step has.
    """

    def __init__(self, num_rows: Mapping[str, int], batch_size: int) -> None:
        self._num_rows = num_rows
        self._block = max(1, min(_BLOCK_STEPS, _BLOCK_ERRORS // batch_size))
        self._rows: Sequence[Tensor] = ()

    def begin(self, index: Mapping[str, Tensor], sizes: Sequence[int], *, count_rows: bool) -> None:
        """Begin an epoch.

        Args:
            index: Rows of its ratings by side, in order, each of shape (N,).
            sizes: Ratings of each of the S steps.
            count_rows: Whether to count the distinct rows of each step.
        """
        self._index, self._sizes, self._count_rows = index, sizes, count_rows
        device = next(iter(index.values())).device
        ends = torch.tensor(sizes, device=device).cumsum(0)
        self._starts = ends - torch.tensor(sizes, device=device)
        self._largest_size = max(sizes)
        self._waiting = self._reduced = self._counted = 0
        self._largest: list[Tensor] = []
        self._positions: list[Tensor] = []
        self._touched: dict[str, list[Tensor]] = {side: [] for side in index}

    def add(self, error: Tensor) -> bool:
        """Store one step's errors, shape (B,); return whether the block is full."""
        if not self._rows or len(self._rows[0]) != self._largest_size:
            # One tensor for all steps: tensors that outlive their step would fragment the memory.
            self._errors = error.new_empty(self._block, self._largest_size)
            # Indexing once here takes a third of the time of indexing in each step.
            self._rows = self._errors.unbind(0)
        row, size = self._rows[self._waiting], len(error)
        if size == len(row):
            row.copy_(error)
        else:
            row[:size].copy_(error)
            row[size:] = 0.0
        self._waiting += 1
        return self._waiting == self._block

    @property
    def waiting(self) -> int:
        """Steps not reduced yet."""
        return self._waiting

    def reduce_errors(self) -> None:
        """Find the largest error of each waiting step, and its place in the epoch."""
        if self._waiting:
            largest, column = self._errors[: self._waiting].abs().max(dim=1)
            self._largest.append(largest)
            self._positions.append(column + self._starts[self._reduced : self._reduced + self._waiting])
        self._reduced += self._waiting
        self._waiting = 0

    def count_rows(self) -> None:
        """Count the distinct rows of each step whose errors are reduced."""
        steps = slice(self._counted, self._reduced)
        self._counted = self._reduced
        if steps.start == steps.stop:
            return
        for side, index in self._index.items():
            if not self._count_rows:
                counts = torch.full((steps.stop - steps.start,), _NOT_COUNTED, device=index.device)
            else:
                counts = rows_touched(self._batches(index, steps), self._num_rows[side])
            self._touched[side].append(counts)

    def read(self) -> StepScalars:
        """Copy the steps so far, which must all be reduced, to the host."""
        position = torch.cat(self._positions)
        user, movie = (self._index[side][position].long().cpu().numpy() for side in SIDES)
        touched = {side: torch.cat(parts).cpu().numpy() for side, parts in self._touched.items()}
        return StepScalars(torch.cat(self._largest).double().cpu().numpy(), user, movie, touched)

    def _batches(self, index: Tensor, steps: slice) -> Tensor:
        """Return the rows of some steps, shape (S, B); shorter batches repeat their last row."""
        sizes = self._sizes[steps]
        first = int(self._starts[steps.start]) if index.device.type == "cpu" else sum(self._sizes[: steps.start])
        if min(sizes) == max(sizes):
            return index[first : first + sum(sizes)].view(len(sizes), -1)
        column = torch.arange(max(sizes), device=index.device)
        last = torch.tensor(sizes, device=index.device).unsqueeze(1) - 1
        found: Tensor = index[self._starts[steps].unsqueeze(1) + torch.minimum(column, last)]
        return found
