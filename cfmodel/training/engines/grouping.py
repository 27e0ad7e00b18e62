"""Ratings grouped by row, cell by cell, and dealt into batches without being sorted again.

The ratings lie sorted by cell and by user, and once more by cell and by movie, from the start. A cell
that is one part of a batch as it is needs nothing more. One that is dealt into several is walked over
once: each rating is appended to its batch, which leaves every batch sorted too.
"""

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from cfmodel.compiled import compiled
from cfmodel.data.parts import RatingArrays
from cfmodel.training.batches import Batches, Rows
from cfmodel.training.engines.crew import Phases, end, is_last, take, wait
from cfmodel.training.shuffle import counting_sort

#: What `parts` says of one lane's part of one batch: its groups of users and of movies, its ratings.
USER_FIRST, USER_LAST, MOVIE_FIRST, MOVIE_LAST, FIRST, LAST = range(6)
FIELDS = 6

Parts = npt.NDArray[np.int64]


class Grouped(NamedTuple):
    """Ratings grouped by the rows of one side.

    Attributes:
        rows: Row of each group, shape (G,).
        starts: First rating of each group; the next entry is where it ends, shape (G + 1,) or more.
        others: The other side's row of each rating, shape (N,).
        values: By user: each rating. By movie: where the part, as grouped by user, has this rating. Shape (N,).
    """

    rows: Rows
    starts: Rows
    others: Rows
    values: Any

    @classmethod
    def empty(cls, groups: int, ratings: int, dtype: Any) -> Self:
        """Return room for so many."""
        rows, starts = np.empty(groups, np.int32), np.empty(groups + 1, np.int32)
        return cls(rows, starts, np.empty(ratings, np.int32), np.empty(ratings, dtype))


class Cells(NamedTuple):
    """All ratings grouped within each cell.

    Attributes:
        by_user: Grouped by user.
        by_movie: Grouped by movie.
        parts: What `FIELDS` says of each cell, shape (cells, 6).
    """

    by_user: Grouped
    by_movie: Grouped
    parts: Parts


def cells_of(train: RatingArrays, batches: Batches) -> Cells:
    """Group the N training ratings within each cell of their batches; as `Batches.order` sorts them."""
    count, starts = len(train), batches.starts
    user, movie = np.empty(count, np.int32), np.empty(count, np.int32)
    rating = np.empty(count, train.rating.dtype)
    _scatter(train.user_idx, train.movie_idx, train.rating, batches.users.block, batches.movies.block,
             batches.blocks, starts[:-1].copy(), user, movie, rating)  # fmt: skip
    sorted_movie, user_by_movie, slot = (np.empty(count, np.int32) for _ in range(3))
    _sort(starts, user, movie, rating, batches.users.place, batches.users.largest, batches.movies.place,
          batches.movies.largest, sorted_movie, user_by_movie, slot)  # fmt: skip
    users, user_starts, user_cells = _runs(user, starts)
    movies, movie_starts, movie_cells = _runs(sorted_movie, starts)
    columns = user_cells[:-1], user_cells[1:], movie_cells[:-1], movie_cells[1:], starts[:-1], starts[1:]
    return Cells(
        Grouped(users, user_starts, movie, rating),
        Grouped(movies, movie_starts, user_by_movie, slot),
        np.stack(columns, axis=1),
    )


@compiled()
def _runs(rows: Any, cells: Any) -> tuple[Rows, Rows, Parts]:
    """Find runs of equal rows that do not cross cells: each one's row, where it begins, and each cell's first."""
    number = 0
    for cell in range(len(cells) - 1):
        for at in range(cells[cell], cells[cell + 1]):
            number += at == cells[cell] or rows[at] != rows[at - 1]
    of_run, starts = np.empty(number, np.int32), np.empty(number + 1, np.int32)
    first, run = np.empty(len(cells), np.int64), 0
    for cell in range(len(cells) - 1):
        first[cell] = run
        for at in range(cells[cell], cells[cell + 1]):
            if at == cells[cell] or rows[at] != rows[at - 1]:
                of_run[run], starts[run] = rows[at], at
                run += 1
    first[-1], starts[-1] = number, len(rows)
    return of_run, starts, first


@compiled()
def _scatter(
    user: Any, movie: Any, rating: Any, user_block: Any, movie_block: Any, blocks: int, cursor: Any,
    to_user: Any, to_movie: Any, to_rating: Any,
) -> None:  # fmt: skip
    """Append each rating to its cell, which begins at the cell's cursor."""
    for at in range(len(rating)):
        cell = np.int64(user_block[user[at]]) * blocks + movie_block[movie[at]]
        place = cursor[cell]
        cursor[cell] = place + 1
        to_user[place], to_movie[place], to_rating[place] = user[at], movie[at], rating[at]


@compiled()
def _sort(
    starts: Any, user: Any, movie: Any, rating: Any, user_place: Any, most_users: int, movie_place: Any,
    most_movies: int, sorted_movie: Any, user_by_movie: Any, slot: Any,
) -> None:  # fmt: skip
    """Sort each cell by user, in place, and once more by movie, equals as they come."""
    largest = np.max(np.diff(starts))
    order, keys = np.empty(largest, np.int32), np.empty(largest, np.int32)
    room, room_rating = np.empty(largest, np.int32), np.empty(largest, rating.dtype)
    user_cursor, movie_cursor = np.empty(most_users + 1, np.int64), np.empty(most_movies + 1, np.int64)
    for cell in range(len(starts) - 1):
        first, size = starts[cell], starts[cell + 1] - starts[cell]
        users, movies = user[first : first + size], movie[first : first + size]
        for at in range(size):
            keys[at] = user_place[users[at]]
        counting_sort(keys[:size], order, user_cursor)
        for column in (users, movies):
            room[:size] = column
            for at in range(size):
                column[at] = room[order[at]]
        ratings = rating[first : first + size]
        room_rating[:size] = ratings
        for at in range(size):
            ratings[at] = room_rating[order[at]]
        for at in range(size):
            keys[at] = movie_place[movies[at]]
        own = slot[first : first + size]
        counting_sort(keys[:size], own, movie_cursor)
        for at in range(size):
            sorted_movie[first + at] = movies[own[at]]
            user_by_movie[first + at] = users[own[at]]


@compiled()
def deal(
    phases: Phases, thread: int, cells: Any, visit: Any, batch: Any, first: Any, by_user: Any, by_movie: Any, parts: Any
) -> None:
    """Deal the cells of a visit into its batches, grouped again; for a crew, in one phase.

    Args:
        phases: The crew's.
        thread: Which of the crew this is.
        cells: All ratings, grouped within each cell: by user, by movie, and what is where.
        visit: The cells, shape (L,).
        batch: Batch of each rating of the visit, cell after cell, shape (n,).
        first: First of them of each cell, shape (L,).
        by_user: Takes the batches grouped by user.
        by_movie: Takes the batches grouped by movie.
        parts: Takes what is where, shape (S, L, 6).
    """
    steps, lanes = parts.shape[0], parts.shape[1]
    for turn in range(lanes):
        lane = (thread + turn) % lanes
        if take(phases, 0, lane):
            part = cells.parts[visit[lane]]
            size = part[LAST] - part[FIRST]
            within = batch[first[lane] : first[lane] + size]
            sizes = np.zeros(steps, np.int64)
            for step in within:
                sizes[step] += 1
            at = np.int64(first[lane])
            for step in range(steps):
                parts[step, lane, FIRST] = at
                at += sizes[step]
                parts[step, lane, LAST] = at
                # Each part's groups begin where its ratings do, and one further for each part before,
                # since a part has one entry more: where its last group ends.
                parts[step, lane, USER_FIRST] = parts[step, lane, MOVIE_FIRST] = (
                    parts[step, lane, FIRST] + lane * steps + step
                )
            place = np.empty(size, np.int32)
            _append(cells.by_user, part, within, by_user, parts[:, lane], USER_FIRST, place)
            _append(cells.by_movie, part, within, by_movie, parts[:, lane], MOVIE_FIRST, place)
            if is_last(phases, 0, lanes):
                end(phases)
    wait(phases, 0)


@compiled()
def _append(grouped: Any, part: Any, batch: Any, into: Any, parts: Any, side: int, place: Any) -> None:
    """Walk over a cell and append each of its ratings to its batch."""
    by_user = side == USER_FIRST
    cursor, group = parts[:, FIRST].copy(), parts[:, side].copy()
    last = np.full(len(parts), -1)
    for run in range(part[side], part[side + 1]):
        row = grouped.rows[run]
        for at in range(grouped.starts[run], grouped.starts[run + 1]):
            rating = at - part[FIRST] if by_user else np.int64(grouped.values[at])
            step = batch[rating]
            spot = cursor[step]
            cursor[step] = spot + 1
            if last[step] != run:
                last[step] = run
                into.rows[group[step]] = row
                into.starts[group[step]] = spot
                group[step] += 1
            into.others[spot] = grouped.others[at]
            if by_user:
                into.values[spot] = grouped.values[at]
                place[rating] = spot - parts[step, FIRST]
            else:
                into.values[spot] = place[rating]
    for step in range(len(parts)):
        parts[step, side + 1] = group[step]
        into.starts[group[step]] = cursor[step]
