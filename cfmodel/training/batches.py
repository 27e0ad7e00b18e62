"""Ratings on the device, in an order that depends on seed and epoch alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np
import torch
from torch import Tensor

from cfmodel.data.parts import RatingArrays

SMALLEST_BATCH, LARGEST_BATCH = 32, 8192

#: The default batch is this share of the ratings, rounded to a power of two; see docs/defaults.md.
STEPS_PER_EPOCH = 256


class Stream(IntEnum):
    """The independent random streams that training draws from its one seed."""

    INITIALISATION = 0
    SHUFFLING = 1


@dataclass(frozen=True, eq=False)
class DeviceRatings:
    """Ratings as tensors of one device: rows of either table and the truth, each of shape (N,)."""

    user_idx: Tensor
    movie_idx: Tensor
    rating: Tensor

    @classmethod
    def of(cls, ratings: RatingArrays, device: torch.device) -> Self:
        """Move ratings to a device, once and for all epochs."""
        columns = (ratings.user_idx, ratings.movie_idx, ratings.rating)
        return cls(*(torch.tensor(column, device=device) for column in columns))

    def __len__(self) -> int:
        return len(self.rating)

    def __getitem__(self, index: Tensor) -> Self:
        return type(self)(self.user_idx[index], self.movie_idx[index], self.rating[index])

    def batches(self, size: int) -> Iterator[Self]:
        """Yield slices of `size` ratings in order; the last may be shorter."""
        columns = (torch.split(column, size) for column in (self.user_idx, self.movie_idx, self.rating))
        for user_idx, movie_idx, rating in zip(*columns, strict=True):
            yield type(self)(user_idx, movie_idx, rating)


def default_batch_size(num_ratings: int) -> int:
    """Return the ratings in a step where none are set.

        2 ** round(log2(num_ratings / 256)), at least 32 and at most 8,192

    Any set then gets some 256 steps an epoch: small ones need that many to arrive at all, large ones
    would only be slower for more.
    """
    wanted = max(num_ratings, 1) / STEPS_PER_EPOCH
    return int(min(max(2 ** round(float(np.log2(wanted))), SMALLEST_BATCH), LARGEST_BATCH))


def generator(seed: int, stream: Stream, *position: int) -> torch.Generator:
    """Return a CPU generator for one position (such as an epoch) of one stream of the seed.

    On the CPU whatever the device, so that every device learns from the same numbers.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(stream, *position))
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))


def epoch_order(num_ratings: int, *, seed: int, epoch: int) -> Tensor:
    """Return the order of one epoch's ratings: a permutation of [0, N), the same for the same seed and epoch."""
    return torch.randperm(num_ratings, generator=generator(seed, Stream.SHUFFLING, epoch))
