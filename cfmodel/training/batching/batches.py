"""Which ratings each step learns from: it depends on seed, epoch and ratings alone."""

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
from cfmodel.training.batching.shuffle import counting_sort, dealt, keys_of, places, sort_cells

SMALLEST_BATCH, LARGEST_BATCH = 32, 131_072

#: The default batch is this share of the ratings, rounded to a power of two; see docs/defaults.md.
STEPS_PER_EPOCH = 256

#: Most cells of a visit.
LANES = 4
#: Stretches of the ratings that are appended to their cells side by side.
STRETCHES = 8
#: Rows of a cell that stay near a core, and ratings below which no cell is made.
CELL_ROWS, CELL_RATINGS = 4096, 8192


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

    @classmethod
    def sharing(cls, ratings: RatingArrays, device: torch.device) -> Self:
        """The same, where nothing will be written to them: on the CPU their memory is shared."""
        columns = ratings.user_idx, ratings.movie_idx, ratings.rating
        if device.type != "cpu" or not all(column.flags.writeable for column in columns):
            return cls.of(ratings, device)
        return cls(*map(torch.from_numpy, columns))

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

        2 ** round(log2(num_ratings / 256)), at least 32 and at most 131,072

    Any set then gets some 256 steps an epoch: small ones need that many to arrive at all, large ones
    would only be slower for more.
    """
    wanted = max(num_ratings, 1) / STEPS_PER_EPOCH
    return int(min(max(2 ** round(float(np.log2(wanted))), SMALLEST_BATCH), LARGEST_BATCH))


class Batches:
    """Which ratings each step of each epoch learns from; the same for the same seed and blocks, on every device.

    Users and movies are divided at random into blocks, each with about as many ratings, so that the
    ratings fall into blocks x blocks cells. A visit takes up to four cells of which no two share a
    user or a movie, and deals the ratings of each at random into the batches of the visit. So the
    rows that a few steps in a row need lie close together, and the parts of a batch can be computed
    side by side. An epoch visits every cell once; which cells go together and in what order is drawn
    anew each time. A small set is one cell, and its batches are drawn from all ratings alike.

    Args:
        ratings: The N training ratings, rows in range.
        num_users: Rows of the user tables.
        num_movies: Rows of the movie tables.
        batch_size: About how many ratings a step has.
        seed: The training's seed.
        blocks: Blocks on either side, a power of two; None: as many as suit the number of rows.
        counts: How many ratings each row has; None: they are counted here.

    Attributes:
        batch_size: About how many ratings a step has.
        counts: How many ratings each row has.
        blocks: Blocks on either side.
        lanes: Cells of a visit.
        users: How users are divided.
        movies: How movies are divided.
        starts: First place of each cell in `order`, and N, shape (blocks * blocks + 1,).
        stretches: Place in each cell of the first rating of each stretch of them, shape (STRETCHES, blocks * blocks),
            were the ratings of a cell left in the order they come in.
        per_visit: Batches of a visit; fewer where even the largest of its cells has fewer ratings.
        steps: Batches in an epoch, at most.

    Source: the cells and their order are those of Gemulla et al., "Large-Scale Matrix Factorization
        with Distributed Stochastic Gradient Descent" (2011), section 4.
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
        self.lanes = min(self.blocks, LANES)
        streams = (np.random.default_rng(_sequence(seed, Stream.BLOCKS, side)) for side in range(2))
        self.users, self.movies = (
            Division.of(of_side, self.blocks, rng) for of_side, rng in zip(self.counts, streams, strict=True)
        )
        self._ratings = ratings
        in_cells = np.zeros((STRETCHES, self.blocks**2), np.int64)
        _count_cells(ratings.user_idx, ratings.movie_idx, self.users, self.movies, in_cells)
        self.starts = np.concatenate([[0], np.cumsum(in_cells.sum(axis=0))])
        self.stretches = self.starts[:-1] + np.cumsum(in_cells, axis=0) - in_cells
        visits = self.blocks**2 // self.lanes
        self.per_visit = max(1, round(len(ratings) / visits / batch_size))
        self.steps = visits * self.per_visit

    def order(self) -> npt.NDArray[np.int32]:
        """Return the ratings sorted by cell and user, equals as they come: positions in [0, N), shape (N,)."""
        user, movie = self._ratings.user_idx, self._ratings.movie_idx
        order, starts = np.empty(len(user), np.int32), np.empty(self.blocks**2 + 1, np.int64)
        counting_sort(self.users.block[user] * np.int32(self.blocks) + self.movies.block[movie], order, starts)
        sort_cells(order, starts, user, self.users.place, self.users.largest)
        return order

    def visits_of(self, epoch: int) -> list[tuple[npt.NDArray[np.int64], int]]:
        """Return the cells of each visit of an epoch, shape (lanes,), and how many batches it has."""
        rng = np.random.default_rng(_sequence(self._seed, Stream.SHUFFLING, epoch))
        users, movies = rng.permutation(self.blocks), rng.permutation(self.blocks)
        shifts = rng.permutation(self.blocks)[:, None]
        # Each shift pairs every block of users with another block of movies.
        cells = users * self.blocks + movies[(np.arange(self.blocks) + shifts) % self.blocks]
        visits = rng.permutation(cells.reshape(-1, self.lanes))
        batches = np.minimum(np.diff(self.starts)[visits].max(axis=1), self.per_visit)
        return [(visit, int(number)) for visit, number in zip(visits, batches, strict=True) if number]

    def deal(self, epoch: int, cell: int, batches: int) -> Rows:
        """Return the batch of each of a cell's n ratings, in the order of `order`; int32, shape (n,)."""
        count = int(self.starts[cell + 1] - self.starts[cell])
        if count == 0 or batches == 1:
            return np.zeros(count, np.int32)
        dealt_to: Rows = dealt(places(count, keys_of(_sequence(self._seed, Stream.SHUFFLING, epoch, cell))), batches)
        return dealt_to

    def of(self, epoch: int) -> Iterator[npt.NDArray[np.int64]]:
        """Yield the ratings of each step of an epoch: places in `order`, shape (B,)."""
        for visit, batches in self.visits_of(epoch):
            parts: list[list[npt.NDArray[np.int64]]] = []
            for cell in visit.tolist():
                batch = self.deal(epoch, cell, batches)
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
    """Return the batches that settings ask for on a device.

    Args:
        ratings: The N training ratings, rows in range.
        settings: Seed, size and blocks.
        device: Where to learn. A GPU is fast for large batches, where the CPU is for rows that stay near a core.
        num_users: Rows of the user tables.
        num_movies: Rows of the movie tables.
        batch_size: About how many ratings a step has; None: as the settings say.
        counts: How many ratings each row has; None: they are counted here.
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
        blocks: How many blocks there are.
    """

    block: Rows
    place: Rows
    largest: int
    blocks: int

    @classmethod
    def of(cls, counts: Counts, blocks: int, rng: np.random.Generator) -> "Division":
        """Divide rows at random into blocks with about as many ratings each.

        Args:
            counts: Ratings of each row.
            blocks: How many blocks.
            rng: What the division is drawn from.
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
    """Return the first rating of a stretch, and that of the next."""
    return stretch * count // STRETCHES, (stretch + 1) * count // STRETCHES


@compiled(forceinline=True)
def cell_of(users: Division, movies: Division, user: int, movie: int) -> int:
    """Return the cell of a rating."""
    return np.int64(users.block[user]) * movies.blocks + movies.block[movie]  # type: ignore[no-any-return]


@compiled()
def _count_cells(user: Any, movie: Any, users: Division, movies: Division, counts: Any) -> None:
    for stretch in range(STRETCHES):
        of_stretch = counts[stretch]
        first, last = stretch_of(len(user), stretch)
        for at in range(first, last):
            of_stretch[cell_of(users, movies, user[at], movie[at])] += 1


def default_blocks(num_ratings: int, num_rows: int) -> int:
    """Return into how many blocks users and movies are divided: a power of two.

    As many as it takes for a cell's rows to stay near a core, unless cells become too small to learn from.
    """
    blocks = 1
    while num_rows / blocks > CELL_ROWS and num_ratings / (2 * blocks) ** 2 >= CELL_RATINGS:
        blocks *= 2
    return blocks


def blocks_for_whole_batches(num_ratings: int, num_rows: int, batch_size: int) -> int:
    """Return `default_blocks`, or fewer, so that batches come out at their size: a power of two.

    A visit has at least four batches, unless all ratings have fewer; they are then within an eighth of it.
    """
    blocks = default_blocks(num_ratings, num_rows)
    while blocks > 1 and num_ratings * min(blocks, LANES) < 4 * batch_size * blocks**2:
        blocks //= 2
    return blocks


def _sequence(seed: int, stream: Stream, *position: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(stream, *position))


def generator(seed: int, stream: Stream, *position: int) -> torch.Generator:
    """Return a CPU generator for one position of one stream of the seed.

    On the CPU whatever the device, so that every device learns from the same numbers.
    """
    return torch.Generator().manual_seed(int(_sequence(seed, stream, *position).generate_state(1, np.uint64)[0] >> 1))
