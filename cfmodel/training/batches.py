"""Which ratings each step learns from: it depends on seed, epoch and ratings alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cfmodel.data.parts import RatingArrays
from cfmodel.training.shuffle import counting_sort, dealt, keys_of, places

SMALLEST_BATCH, LARGEST_BATCH = 32, 8192

#: The default batch is this share of the ratings, rounded to a power of two; see docs/defaults.md.
STEPS_PER_EPOCH = 256

#: Ratings in a block of users: the rows of a few thousand users stay near the processor.
BLOCK_RATINGS = 2**20

Rows = npt.NDArray[np.int32]


class Stream(IntEnum):
    """The independent random streams that training draws from its one seed."""

    INITIALISATION = 0
    SHUFFLING = 1
    BLOCKS = 2


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

    def split(self, sizes: Sequence[int]) -> Iterator[Self]:
        """Yield slices of these sizes in order."""
        columns = (torch.split(column, list(sizes)) for column in (self.user_idx, self.movie_idx, self.rating))
        for user_idx, movie_idx, rating in zip(*columns, strict=True):
            yield type(self)(user_idx, movie_idx, rating)

    def batches(self, size: int) -> Iterator[Self]:
        """Return slices of `size` ratings in order; the last may be shorter."""
        whole, rest = divmod(len(self), size)
        return self.split([size] * whole + [rest] * (rest > 0))


def default_batch_size(num_ratings: int) -> int:
    """Return the ratings in a step where none are set.

        2 ** round(log2(num_ratings / 256)), at least 32 and at most 8,192

    Any set then gets some 256 steps an epoch: small ones need that many to arrive at all, large ones
    would only be slower for more.
    """
    wanted = max(num_ratings, 1) / STEPS_PER_EPOCH
    return int(min(max(2 ** round(float(np.log2(wanted))), SMALLEST_BATCH), LARGEST_BATCH))


class Batches:
    """Which ratings each step of each epoch learns from; the same for the same seed, on every device.

    Users are divided at random into blocks of about a million ratings, so that those of a step lie
    close together. An epoch goes through the blocks in random order and deals the ratings of each at
    random into batches of the same size, give or take one.

    Args:
        user_idx: User row of each of the N ratings, integers in [0, num_users), shape (N,).
        num_users: Rows of the user tables.
        batch_size: Ratings in a step; a block of n has round(n / batch_size) batches, at least one.
        seed: The training's seed.
        block_ratings: About how many ratings a block has.

    Attributes:
        starts: First place of each block in `order`, and N, shape (blocks + 1,).
        steps: Batches in an epoch.
        most_in_block: Most batches of a block.
        largest: Most ratings in a batch.
        largest_block: Most ratings in a block.
    """

    def __init__(
        self, user_idx: Rows, *, num_users: int, batch_size: int, seed: int, block_ratings: int = BLOCK_RATINGS
    ) -> None:
        self._user_idx, self._seed = user_idx, seed
        blocks = max(1, round(len(user_idx) / block_ratings))
        users = np.arange(num_users)
        if blocks > 1:
            users = np.random.default_rng(_sequence(seed, Stream.BLOCKS)).permutation(num_users)
        self._rank = np.empty(num_users, np.int32)
        self._rank[users] = np.arange(num_users)
        ends = np.cumsum(np.bincount(user_idx, minlength=num_users)[users])
        cuts = np.searchsorted(ends, len(user_idx) * np.arange(1, blocks) / blocks)
        self.starts = np.unique(np.concatenate([[0], ends[cuts], [len(user_idx)]]))
        sizes = np.diff(self.starts)
        self._batches = np.maximum(1, np.rint(sizes / batch_size).astype(np.int64))
        self.steps, self.most_in_block = int(self._batches.sum()), int(self._batches.max())
        self.largest, self.largest_block = int((-(-sizes // self._batches)).max()), int(sizes.max())

    def order(self) -> npt.NDArray[np.int64]:
        """Return the ratings sorted by block and user, equals as they come: positions in [0, N), shape (N,)."""
        order, starts = np.empty(len(self._user_idx), np.int64), np.empty(len(self._rank) + 1, np.int64)
        counting_sort(self._rank[self._user_idx], order, starts)
        return order

    def in_block(self, block: int) -> int:
        """Return how many batches a block has."""
        return int(self._batches[block])

    def blocks_of(self, epoch: int) -> list[int]:
        """Return the blocks in the order in which an epoch goes through them."""
        rng = np.random.default_rng(_sequence(self._seed, Stream.SHUFFLING, epoch))
        return rng.permutation(len(self._batches)).tolist()  # type: ignore[no-any-return]

    def deal(self, epoch: int, block: int) -> Rows:
        """Return the batch of each of a block's n ratings, in the order of `order`; int32, shape (n,)."""
        keys = keys_of(_sequence(self._seed, Stream.SHUFFLING, epoch, block))
        found = places(int(self.starts[block + 1] - self.starts[block]), keys)
        batches: Rows = dealt(found, self.in_block(block))
        return batches

    def of(self, epoch: int) -> Iterator[npt.NDArray[np.int64]]:
        """Yield the ratings of each step of an epoch: places in `order`, rising, shape (B,)."""
        for block in self.blocks_of(epoch):
            batches = self.deal(epoch, block)
            order, starts = np.empty(len(batches), np.int64), np.empty(self.in_block(block) + 1, np.int64)
            counting_sort(batches, order, starts)
            order += self.starts[block]
            yield from np.split(order, starts[1:-1])


def _sequence(seed: int, stream: Stream, *position: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(stream, *position))


def generator(seed: int, stream: Stream, *position: int) -> torch.Generator:
    """Return a CPU generator for one position of one stream of the seed.

    On the CPU whatever the device, so that every device learns from the same numbers.
    """
    return torch.Generator().manual_seed(int(_sequence(seed, stream, *position).generate_state(1, np.uint64)[0] >> 1))
