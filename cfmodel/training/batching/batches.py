"""Batches: the ratings of each step, a function of seed, epoch and ratings alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cfmodel.column_statistics import Counts, Rows
from cfmodel.config import TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.system.compiled import compiled
from cfmodel.training.batching.row_counts import RowCounts
from cfmodel.training.batching.shuffle import batch_of_place, counting_sort, permutation, shuffle_keys, sort_cells

SMALLEST_BATCH, LARGEST_BATCH = 32, 131_072

#: About how many steps an epoch has with the default batch size; see docs/defaults.md.
_STEPS_PER_EPOCH = 256

#: Most cells of a visit.
_LANES = 4
#: Parts of the ratings that threads sort into cells in parallel.
_STRETCHES = 8
#: Rows of a cell that fit the cache of a core, and fewest ratings of a cell.
_CELL_ROWS, _CELL_RATINGS = 4096, 8192


class Stream(IntEnum):
    """The independent random streams of a training's seed."""

    INITIALISATION = 0
    SHUFFLING = 1
    BLOCKS = 2


@dataclass(frozen=True, eq=False)
class DeviceRatings:
    """Ratings as tensors on one device: rows of either side and true ratings, each of shape (N,)."""

    user_idx: Tensor
    movie_idx: Tensor
    rating: Tensor

    @classmethod
    def of(cls, ratings: RatingArrays, device: torch.device) -> Self:
        """Copy ratings to a device."""
        columns = (ratings.user_idx, ratings.movie_idx, ratings.rating)
        return cls(*(torch.tensor(column, device=device) for column in columns))

    @classmethod
    def sharing(cls, ratings: RatingArrays, device: torch.device) -> Self:
        """Share the memory of ratings on the CPU, for readers alone; copy them to any other device."""
        columns = ratings.user_idx, ratings.movie_idx, ratings.rating
        if device.type != "cpu" or not all(column.flags.writeable for column in columns):
            return cls.of(ratings, device)
        return cls(*map(torch.from_numpy, columns))

    def __len__(self) -> int:
        return len(self.rating)

    def __getitem__(self, index: Tensor) -> Self:
        return type(self)(self.user_idx[index], self.movie_idx[index], self.rating[index])

    def split(self, sizes: Sequence[int]) -> Iterator[Self]:
        """Yield consecutive slices of these sizes."""
        columns = (torch.split(column, list(sizes)) for column in (self.user_idx, self.movie_idx, self.rating))
        for user_idx, movie_idx, rating in zip(*columns, strict=True):
            yield type(self)(user_idx, movie_idx, rating)

    def batches(self, size: int) -> Iterator[Self]:
        """Yield consecutive slices of `size` ratings; the last may be shorter."""
        whole, rest = divmod(len(self), size)
        return self.split([size] * whole + [rest] * (rest > 0))


def default_batch_size(num_ratings: int) -> int:
    """Return the default number of ratings in a step.

        2 ** round(log2(num_ratings / 256)), at least 32 and at most 131,072

    An epoch then has about 256 steps: small data sets need that many to converge, large ones would only be
    slower with more.
    """
    wanted = max(num_ratings, 1) / _STEPS_PER_EPOCH
    return int(min(max(2 ** round(float(np.log2(wanted))), SMALLEST_BATCH), LARGEST_BATCH))


class Batches:
    """The ratings of each step of each epoch; the same for the same seed and blocks, on every device.

    Users and movies are divided at random into blocks with about equal numbers of ratings, so that the
    ratings fall into blocks x blocks cells. A visit takes up to four cells, no two of which share a user
    or a movie, and assigns the ratings of each at random to the batches of the visit. Consecutive steps
    thus need rows that are close together in memory, and the parts of a batch can be computed in parallel.
    An epoch visits every cell once, in an order drawn anew each time. A small data set is one cell, so its
    batches are drawn from all ratings alike.

    Args:
        ratings: The N training ratings, rows in range.
        num_users: Rows of the user tables.
        num_movies: Rows of the movie tables.
        batch_size: About how many ratings a step has.
        seed: The training's seed.
        blocks: Blocks per side, a power of two; None: `default_blocks`.
        counts: Ratings of each row; None: they are counted here.

    Attributes:
        batch_size: About how many ratings a step has.
        counts: Ratings of each row.
        blocks: Blocks per side.
        lanes: Cells of a visit.
        users: The blocks of the users.
        movies: The blocks of the movies.
        starts: First place of each cell in `order`, and N, shape (blocks * blocks + 1,).
        stretches: First place in each cell for the ratings of each stretch, if the ratings of a cell keep their
            order, shape (_STRETCHES, blocks * blocks).
        per_visit: Batches of a visit; fewer if even the largest of its cells has fewer ratings.
        steps: Most batches of an epoch.

    Source: Gemulla et al., "Large-Scale Matrix Factorization with Distributed Stochastic Gradient Descent"
        (2011), section 4, for the cells and their order.
    """

    def __init__(
        self,
        ratings: RatingArrays,
        *,
        num_users: int,
        num_movies: int,
        batch_size: int,
        seed: int,
        blocks: int | None = None,
        counts: RowCounts | None = None,
    ) -> None:
        self.batch_size = batch_size
        self.counts = counts or RowCounts.of(ratings, num_users=num_users, num_movies=num_movies)
        self._seed, self.blocks = seed, blocks or default_blocks(len(ratings), num_users + num_movies)
        self.lanes = min(self.blocks, _LANES)
        streams = (np.random.default_rng(_sequence(seed, Stream.BLOCKS, side)) for side in range(2))
        self.users, self.movies = (
            Division.of(of_side, self.blocks, rng) for of_side, rng in zip(self.counts, streams, strict=True)
        )
        self._ratings = ratings
        in_cells = np.zeros((_STRETCHES, self.blocks**2), np.int64)
        _count_cells(ratings.user_idx, ratings.movie_idx, self.users, self.movies, in_cells)
        self.starts = np.concatenate([[0], np.cumsum(in_cells.sum(axis=0))])
        self.stretches = self.starts[:-1] + np.cumsum(in_cells, axis=0) - in_cells
        visits = self.blocks**2 // self.lanes
        self.per_visit = max(1, round(len(ratings) / visits / batch_size))
        self.steps = visits * self.per_visit

    def order(self) -> npt.NDArray[np.int32]:
        """Return the positions of the ratings, stably sorted by cell and user, shape (N,)."""
        user, movie = self._ratings.user_idx, self._ratings.movie_idx
        order, starts = np.empty(len(user), np.int32), np.empty(self.blocks**2 + 1, np.int64)
        counting_sort(self.users.block[user] * np.int32(self.blocks) + self.movies.block[movie], order, starts)
        sort_cells(order, starts, user, self.users.place, self.users.largest)
        return order

    def visits_of(self, epoch: int) -> list[tuple[npt.NDArray[np.int64], int]]:
        """Return the cells of each visit of an epoch, shape (lanes,), and its number of batches."""
        rng = np.random.default_rng(_sequence(self._seed, Stream.SHUFFLING, epoch))
        users, movies = rng.permutation(self.blocks), rng.permutation(self.blocks)
        shifts = rng.permutation(self.blocks)[:, None]
        # Each shift pairs every block of users with a different block of movies.
        cells = users * self.blocks + movies[(np.arange(self.blocks) + shifts) % self.blocks]
        visits = rng.permutation(cells.reshape(-1, self.lanes))
        batches = np.minimum(np.diff(self.starts)[visits].max(axis=1), self.per_visit)
        return [(visit, int(number)) for visit, number in zip(visits, batches, strict=True) if number]

    def assign(self, epoch: int, cell: int, batches: int) -> Rows:
        """Return the batch of each of a cell's n ratings, in the order of `order`; int32, shape (n,)."""
        count = int(self.starts[cell + 1] - self.starts[cell])
        if count == 0 or batches == 1:
            return np.zeros(count, np.int32)
        keys = shuffle_keys(_sequence(self._seed, Stream.SHUFFLING, epoch, cell))
        return batch_of_place(permutation(count, keys), batches)  # type: ignore[no-any-return]

    def of(self, epoch: int) -> Iterator[npt.NDArray[np.int64]]:
        """Yield the ratings of each step of an epoch: places in `order`, shape (B,)."""
        for visit, batches in self.visits_of(epoch):
            parts: list[list[npt.NDArray[np.int64]]] = []
            for cell in visit.tolist():
                batch = self.assign(epoch, cell, batches)
                order, starts = np.empty(len(batch), np.int64), np.empty(batches + 1, np.int64)
                counting_sort(batch, order, starts)
                parts.append(np.split(order + self.starts[cell], starts[1:-1]))
            for lanes in zip(*parts, strict=True):
                yield np.concatenate(lanes)


def batches_for(
    ratings: RatingArrays,
    settings: TrainSettings,
    device: torch.device,
    *,
    num_users: int,
    num_movies: int,
    batch_size: int | None = None,
    counts: RowCounts | None = None,
) -> Batches:
    """Return the batches for these settings and this device.

    Args:
        ratings: The N training ratings, rows in range.
        settings: Seed, size and blocks.
        device: Where to train. A GPU needs large batches, a CPU rows that fit the cache of a core.
        num_users: Rows of the user tables.
        num_movies: Rows of the movie tables.
        batch_size: About how many ratings a step has; None: as the settings say.
        counts: Ratings of each row; None: they are counted here.
    """
    size, blocks = batch_size or settings.batch_size or default_batch_size(len(ratings)), settings.blocks
    if blocks is None and device.type == "cuda":
        blocks = blocks_for_whole_batches(len(ratings), num_users + num_movies, size)
    return Batches(
        ratings,
        num_users=num_users,
        num_movies=num_movies,
        batch_size=size,
        seed=settings.seed,
        blocks=blocks,
        counts=counts,
    )


class Division(NamedTuple):
    """One side's rows divided into blocks.

    Attributes:
        block: Block of each row, int32, shape (rows,).
        place: Place of each row in its block, int32, shape (rows,).
        largest: Rows of the largest block.
        blocks: Number of blocks.
    """

    block: Rows
    place: Rows
    largest: int
    blocks: int

    @classmethod
    def of(cls, counts: Counts, blocks: int, rng: np.random.Generator) -> "Division":
        """Divide rows at random into blocks with about equal numbers of ratings.

        Args:
            counts: Ratings of each row.
            blocks: Number of blocks.
            rng: Random stream.
        """
        num_rows = len(counts)
        order = np.arange(num_rows) if blocks == 1 else rng.permutation(num_rows)
        ends = np.cumsum(counts[order])
        cuts = np.searchsorted(ends, counts.sum() * np.arange(1, blocks) / blocks)
        first = np.concatenate([[0], cuts])
        block, place = np.empty(num_rows, np.int32), np.empty(num_rows, np.int32)
        block[order] = np.searchsorted(cuts, np.arange(num_rows), side="right")
        place[order] = np.arange(num_rows) - first[block[order]]
        return cls(block, place, int(np.bincount(block).max()), blocks)


@compiled()
def stretch_of(count: int, stretch: int) -> tuple[int, int]:
    """Return the first rating of a stretch and the first of the next one."""
    return stretch * count // _STRETCHES, (stretch + 1) * count // _STRETCHES


@compiled(forceinline=True)
def cell_of(users: Division, movies: Division, user: int, movie: int) -> int:
    """Return the cell of a rating."""
    return np.int64(users.block[user]) * movies.blocks + movies.block[movie]  # type: ignore[no-any-return]


@compiled()
def _count_cells(user: Any, movie: Any, users: Division, movies: Division, counts: Any) -> None:
    for stretch in range(_STRETCHES):
        of_stretch = counts[stretch]
        first, last = stretch_of(len(user), stretch)
        for at in range(first, last):
            of_stretch[cell_of(users, movies, user[at], movie[at])] += 1


def default_blocks(num_ratings: int, num_rows: int) -> int:
    """Return the number of blocks per side, a power of two.

    There are as many as it takes for a cell's rows to fit the cache of a core, unless cells would get fewer
    than 8,192 ratings.
    """
    blocks = 1
    while num_rows / blocks > _CELL_ROWS and num_ratings / (2 * blocks) ** 2 >= _CELL_RATINGS:
        blocks *= 2
    return blocks


def blocks_for_whole_batches(num_ratings: int, num_rows: int, batch_size: int) -> int:
    """Return `default_blocks`, or fewer, such that batches are within an eighth of the batch size: a power of two.

    A visit then has at least four batches, unless all ratings together have fewer.
    """
    blocks = default_blocks(num_ratings, num_rows)
    while blocks > 1 and num_ratings * min(blocks, _LANES) < 4 * batch_size * blocks**2:
        blocks //= 2
    return blocks


def _sequence(seed: int, stream: Stream, *position: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(stream, *position))


def generator(seed: int, stream: Stream, *position: int) -> torch.Generator:
    """Return a CPU generator for one position of one stream of the seed, so that all devices draw the same numbers."""
    return torch.Generator().manual_seed(int(_sequence(seed, stream, *position).generate_state(1, np.uint64)[0] >> 1))
