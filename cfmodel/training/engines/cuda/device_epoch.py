"""One epoch on the device: the batches of its steps, the number of the next step, and the log."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cfmodel.gradients.measuring.step_scalars import StepScalars
from cfmodel.training.batching.batches import DeviceRatings
from cfmodel.training.engines.row_layout import FUSED_TABLES
from cfmodel.training.engines.step_log import StepLog


class Batch(NamedTuple):
    """One step's ratings, padded to L with other ratings of the epoch.

    Attributes:
        first: Place of the first rating in the epoch, shape (1,).
        size: Ratings of the step, padding not counted, shape (1,).
        kept: False for padding, shape (L,).
        rows: Rows of users and movies in the packed tables, shape (2, L).
        rating: Standardized, shape (L,).
    """

    first: Tensor
    size: Tensor
    kept: Tensor
    rows: Tensor
    rating: Tensor


class DeviceEpoch:
    """The tensors of an epoch; the same memory in every epoch, as a recorded CUDA graph needs.

    The number of the next step is on the device, too: a step needs nothing from the host.

    Args:
        ratings: The N training ratings.
        num_users: Rows of users, which come before those of movies.
        steps: Most steps of an epoch, S.
        dtype: Precision of the steps.
    """

    def __init__(self, ratings: DeviceRatings, *, num_users: int, steps: int, dtype: torch.dtype) -> None:
        device = ratings.rating.device
        self._ratings, self._num_users = ratings, num_users
        self._rows = torch.empty(2, len(ratings), dtype=torch.int32, device=device)
        self._rating = torch.empty_like(ratings.rating)
        self._starts, self._sizes = (torch.zeros(steps, dtype=torch.int64, device=device) for _ in range(2))
        self._rates = torch.zeros(steps, dtype=dtype, device=device)
        self._numbers = torch.zeros(steps, 5 + len(FUSED_TABLES), dtype=dtype, device=device)
        self._places = torch.zeros(steps, 3, dtype=torch.int64, device=device)
        self.at = torch.zeros(1, dtype=torch.int64, device=device)

    def begin(self, places: Tensor, sizes: list[int], rates: list[float], *, done: int = 0) -> None:
        """Load an epoch.

        Args:
            places: Its ratings in order, shape (N,).
            sizes: Ratings of each step.
            rates: Adam's step size in each step.
            done: Steps that are done already.
        """
        places = places.to(self._rating.device, non_blocking=True)
        torch.index_select(self._ratings.user_idx, 0, places, out=self._rows[0])
        torch.index_select(self._ratings.movie_idx, 0, places, out=self._rows[1])
        torch.index_select(self._ratings.rating, 0, places, out=self._rating)
        self._rows[1] += self._num_users
        steps = slice(len(sizes))
        self._sizes[steps] = torch.tensor(sizes)
        self._starts[steps] = torch.tensor([0, *np.cumsum(sizes)[:-1].tolist()])
        self._rates[steps] = torch.tensor(rates, dtype=self._rates.dtype)
        self.at.fill_(done)

    def batch(self, column: Tensor) -> Batch:
        """Return the ratings of the current step; `column` counts from 0 to L - 1."""
        first, size = self._starts[self.at], self._sizes[self.at]
        # Padding is other ratings of the epoch: valid rows, and not all the same one.
        slot = (first + column).clamp(max=len(self._rating) - 1)
        return Batch(first, size, column < size, self._rows[:, slot], self._rating[slot])

    def rate(self) -> Tensor:
        """Return Adam's step size in the current step, shape (1,)."""
        return self._rates[self.at]

    def end_step(self, numbers: Tensor, places: Tensor) -> None:
        """Log the step, and advance to the next."""
        self._numbers.index_copy_(0, self.at, numbers.unsqueeze(0))
        self._places.index_copy_(0, self.at, places.unsqueeze(0))
        self.at += 1

    def state(self) -> list[Tensor]:
        """Return all tensors that a step changes."""
        return [self.at, self._numbers, self._places]

    def read(self, sizes: list[int], *, first: int = 0) -> StepLog:
        """Wait for the device and return the log of the steps of these sizes, from step `first` on."""
        steps = slice(first, first + len(sizes))
        numbers, places = self._numbers[steps].cpu().numpy().astype(np.float64), self._places[steps]
        user, movie = (self._rows[:, places[:, 0]]).long().cpu().numpy()
        loss, squared_error, total, coefficient, largest = numbers[:, :5].T
        # Copied: on the CPU they would be views of memory that the next epoch overwrites.
        users_touched, movies_touched = places[:, 1:].T.cpu().numpy().copy()
        touched = {"user": users_touched, "movie": movies_touched}
        scalars = StepScalars(largest, user, movie - self._num_users, touched)
        return StepLog(FUSED_TABLES, np.array(sizes), loss, squared_error, total, coefficient, numbers[:, 5:], scalars)
