"""Ratings dealt into batches and grouped by row within each, in one counting sort an epoch.

The ratings lie sorted by block, by user and by movie from the start, so a walk over them that appends
each rating to its batch leaves every batch sorted too.
"""

from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from numba import njit

from cfmodel.data.parts import RatingArrays
from cfmodel.training.batches import Batches
from cfmodel.training.engines.crew import Phases, claim, end, is_last, wait
from cfmodel.training.shuffle import counting_sort

#: Phases of `group`, and chunks in each.
PHASES, CHUNKS = 4, 16

Rows = npt.NDArray[np.int32]


class Runs(NamedTuple):
    """One side's ratings of all blocks, sorted by block and row.

    Attributes:
        rows: Row of each run of ratings with the same block and row, shape (R,).
        starts: First rating of each run, and N, shape (R + 1,).
        blocks: First run of each block, and R, shape (blocks + 1,).
    """

    rows: Rows
    starts: npt.NDArray[np.int64]
    blocks: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: Rows, blocks: npt.NDArray[np.int64]) -> Self:
        """Find the runs of sorted ratings.

        Args:
            rows: Row of each rating, rising within each block, shape (N,).
            blocks: First rating of each block, and N, shape (blocks + 1,).
        """
        new = np.empty(len(rows), bool)
        np.not_equal(rows[1:], rows[:-1], out=new[1:])
        new[blocks[:-1]] = True
        starts = np.flatnonzero(new)
        return cls(rows[starts], np.append(starts, len(rows)), np.searchsorted(starts, blocks))


class Groups(NamedTuple):
    """The S batches of a block, each grouped by the rows of one side; B is room for the largest batch.

    Attributes:
        rows: Row of each group, shape (S, B).
        starts: First rating of each group, and the batch's size, shape (S, B + 1).
        number: Groups of each batch, shape (S,).
        others: The other side's row of each rating, shape (S, B).
    """

    rows: Rows
    starts: Rows
    number: Rows
    others: Rows

    @classmethod
    def empty(cls, batches: int, size: int) -> Self:
        """Return room for so many batches."""
        # An odd number of cache lines from batch to batch: a power of two would put all batches'
        # ends into the same few places of the cache.
        width = (size // 16 + 1 | 1) * 16
        rows, starts, others = (np.empty((batches, width), np.int32) for _ in range(3))
        return cls(rows, starts, np.empty(batches, np.int32), others)


class Room(NamedTuple):
    """What grouping leaves behind for the ratings of a block, and what it counts on the way.

    Attributes:
        rating: Rating of each place of a batch grouped by user, shape (S, B).
        slot: Where a batch grouped by user has the rating that is here when grouped by movie, shape (S, B).
        place: The same for each rating of the block in its first order, shape (n,).
        counts: Ratings, then groups, of each chunk in each batch, for either side, shape (2, 2, CHUNKS, S).
    """

    rating: Any
    slot: Rows
    place: Rows
    counts: npt.NDArray[np.int64]


def arranged(train: RatingArrays, batches: Batches, num_movies: int) -> tuple[Runs, Runs, tuple[Any, ...]]:
    """Sort the ratings by block, user and movie; return the runs of users and of movies, and their columns."""
    order = batches.order()
    user, movie, rating = train.user_idx[order], train.movie_idx[order], train.rating[order]
    by_movie = np.empty(len(order), np.int32)
    for first, last in pairwise(batches.starts):
        within, starts = np.empty(last - first, np.int64), np.empty(num_movies + 1, np.int64)
        counting_sort(movie[first:last], within, starts)
        by_movie[first:last] = within + first
    return (
        Runs.of(user, batches.starts),
        Runs.of(movie[by_movie], batches.starts),
        (movie, rating, by_movie, user[by_movie]),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def group(
    phases: Phases,
    block: int,
    batch: Any,
    users: Any,
    movies: Any,
    ratings: Any,
    by_user: Any,
    by_movie: Any,
    room: Any,
) -> None:
    """Group a block's batches by user and by movie; for a crew.

    Args:
        phases: The crew's.
        block: Which block.
        batch: Batch of each of the block's ratings, shape (n,).
        users: Runs of users.
        movies: Runs of movies.
        ratings: Movie row and rating of each rating in users' order; its number there and its user
            row in movies' order; each of shape (N,).
        by_user: Takes the batches grouped by user.
        by_movie: Takes the batches grouped by movie.
        room: Takes the rest.
    """
    movie, rating, number, user = ratings
    first = users.starts[users.blocks[block]]
    for side in range(2):
        runs, groups, counts = (users, by_user, room.counts[0]) if side == 0 else (movies, by_movie, room.counts[1])
        chunk = claim(phases, 2 * side)
        while chunk < CHUNKS:
            _count(chunk, block, batch, first, runs, number, side, counts)
            if is_last(phases, 2 * side, CHUNKS):
                _begin(counts, groups)
                end(phases)
            chunk = claim(phases, 2 * side)
        wait(phases, 2 * side)
        chunk = claim(phases, 2 * side + 1)
        while chunk < CHUNKS:
            low, high = _chunk(chunk, block, runs)
            last = np.full(len(groups.number), -1)
            for run in range(low, high):
                for at in range(runs.starts[run], runs.starts[run + 1]):
                    place = (at if side == 0 else np.int64(number[at])) - first
                    step = batch[place]
                    spot = counts[0, chunk, step]
                    counts[0, chunk, step] = spot + 1
                    if last[step] != run:
                        last[step] = run
                        new = counts[1, chunk, step]
                        counts[1, chunk, step] = new + 1
                        groups.rows[step, new] = runs.rows[run]
                        groups.starts[step, new] = spot
                    if side == 0:
                        groups.others[step, spot] = movie[at]
                        room.rating[step, spot] = rating[at]
                        room.place[place] = spot
                    else:
                        groups.others[step, spot] = user[at]
                        room.slot[step, spot] = room.place[place]
            if is_last(phases, 2 * side + 1, CHUNKS):
                end(phases)
            chunk = claim(phases, 2 * side + 1)
        wait(phases, 2 * side + 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _count(chunk: int, block: int, batch: Any, first: int, runs: Any, number: Any, side: int, counts: Any) -> None:
    """Count a chunk's ratings and groups in each batch."""
    low, high = _chunk(chunk, block, runs)
    last = np.full(counts.shape[2], -1)
    counts[:, chunk] = 0
    for run in range(low, high):
        for at in range(runs.starts[run], runs.starts[run + 1]):
            step = batch[(at if side == 0 else np.int64(number[at])) - first]
            counts[0, chunk, step] += 1
            if last[step] != run:
                last[step] = run
                counts[1, chunk, step] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _begin(counts: Any, groups: Any) -> None:
    """Turn counts into where each chunk's ratings and groups begin, and close each batch."""
    for step in range(counts.shape[2]):
        for kind in range(2):
            total = 0
            for chunk in range(counts.shape[1]):
                count = counts[kind, chunk, step]
                counts[kind, chunk, step] = total
                total += count
            if kind == 0:
                size = total
            else:
                groups.number[step] = total
                groups.starts[step, total] = size


@njit(cache=True, nogil=True, error_model="numpy")
def _chunk(chunk: int, block: int, runs: Any) -> tuple[int, int]:
    """Return the first run of a chunk and the first beyond it; chunks have about as many ratings each."""
    low, high = runs.blocks[block], runs.blocks[block + 1]
    first, ratings = runs.starts[low], runs.starts[high] - runs.starts[low]
    starts = runs.starts[low:high]
    return (
        low + np.searchsorted(starts, first + ratings * chunk // CHUNKS),
        low + np.searchsorted(starts, first + ratings * (chunk + 1) // CHUNKS),
    )
