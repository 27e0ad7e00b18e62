"""Ratings grouped by user and by movie within each cell, and their assignment to batches.

The ratings are sorted once by cell and user, and once by cell and movie. A cell that belongs to one batch
needs nothing more. To assign a cell to several batches, one pass appends each rating to its batch, which
keeps every batch sorted.
"""

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from cfmodel.column_statistics import Rows
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.system.compiled import compiled
from cfmodel.training.batching.batches import Batches, cell_of, stretch_of
from cfmodel.training.batching.shuffle import counting_sort
from cfmodel.training.engines.cpu.thread_team import Phases, ThreadTeam, end, is_last, take, wait

#: Columns of `parts`, for one lane's part of one batch: its groups of users and of movies, its ratings.
USER_FIRST, USER_LAST, MOVIE_FIRST, MOVIE_LAST, FIRST, LAST = range(6)
FIELDS = 6

Parts = npt.NDArray[np.int64]


class Grouped(NamedTuple):
    """Ratings grouped by the rows of one side.

    Attributes:
        rows: Row of each group, shape (G,).
        starts: First rating of each group, which ends at the next entry, shape (G + 1,) or more.
        others: The other side's row of each rating, shape (N,).
        values: By user: the ratings. By movie: the place of each rating in the part grouped by user. Shape (N,).
    """

    rows: Rows
    starts: Rows
    others: Rows
    values: Any

    @classmethod
    def empty(cls, groups: int, ratings: int, dtype: Any) -> Self:
        """Return uninitialised memory for this many groups and ratings."""
        rows, starts = np.empty(groups, np.int32), np.empty(groups + 1, np.int32)
        return cls(rows, starts, np.empty(ratings, np.int32), np.empty(ratings, dtype))


class Cells(NamedTuple):
    """All ratings grouped within each cell.

    Attributes:
        by_user: Grouped by user.
        by_movie: Grouped by movie.
        parts: Groups and ratings of each cell, shape (cells, 6).
    """

    by_user: Grouped
    by_movie: Grouped
    parts: Parts


def cells_of(train: RatingArrays, batches: Batches, team: ThreadTeam) -> Cells:
    """Group the N training ratings within each cell of their batches, in the order of `Batches.order`."""
    count, cells = len(train), len(batches.starts) - 1
    user_first, movie_first = (_first_groups(batches.starts, side.largest) for side in (batches.users, batches.movies))
    by_user = Grouped.empty(int(user_first[-1]), count, train.rating.dtype)
    by_movie = Grouped.empty(int(movie_first[-1]), count, np.int32)
    parts = np.empty((cells, FIELDS), np.int64)
    # Each rating's user, cell by cell: needed only here.
    user = np.empty(count, np.int32)
    team.run(
        _group,
        2,
        max(cells, len(batches.stretches)),
        (train.user_idx, train.movie_idx, train.rating),
        batches.starts,
        batches.stretches.copy(),
        batches.users,
        batches.movies,
        user,
        by_user,
        by_movie,
        user_first,
        movie_first,
        parts,
    )
    return Cells(by_user, by_movie, parts)


def _first_groups(starts: Parts, largest: int) -> Parts:
    """Return the first group of each cell: a cell has at most one group per rating or row of a block, plus an end."""
    most = np.minimum(np.diff(starts), largest) + 1
    return np.concatenate([[0], np.cumsum(most)])


@compiled()
def _group(
    phases: Phases, thread: int, given: Any, starts: Any, stretches: Any, users: Any, movies: Any,
    user: Any, by_user: Any, by_movie: Any, user_first: Any, movie_first: Any, parts: Any,
) -> None:  # fmt: skip
    """Append each rating to its cell, stretch by stretch, then group each cell; for a thread team, in two phases."""
    number = len(stretches)
    for turn in range(number):
        stretch = (thread + turn) % number
        if take(phases, 0, stretch):
            _scatter(given, stretch, stretches[stretch], users, movies, user, by_user)
            if is_last(phases, 0, number):
                end(phases)
    wait(phases, 0)
    number, most = len(parts), np.max(np.diff(starts))
    order, keys, buffer = np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.int32)
    ratings = np.empty(most, by_user.values.dtype)
    user_cursor, movie_cursor = np.empty(users.largest + 1, np.int64), np.empty(movies.largest + 1, np.int64)
    for turn in range(number):
        cell = (turn + thread * number // 2) % number
        if take(phases, 1, cell):
            first, last, part = starts[cell], starts[cell + 1], parts[cell]
            part[FIRST], part[LAST] = first, last
            own = user[first:last]
            _sort_by_user(own, by_user, first, users.place, user_cursor, order, keys, buffer, ratings)
            _write_groups(own, user_cursor, first, by_user, user_first[cell], part, USER_FIRST)
            _sort_by_movie(own, by_user, by_movie, first, movies.place, movie_cursor, keys, buffer)
            _write_groups(buffer, movie_cursor, first, by_movie, movie_first[cell], part, MOVIE_FIRST)
            if is_last(phases, 1, number):
                end(phases)
    wait(phases, 1)


@compiled()
def _scatter(given: Any, stretch: int, cursor: Any, users: Any, movies: Any, to_user: Any, by_user: Any) -> None:
    """Append a stretch's ratings to their cells, each from the cursor on."""
    user, movie, rating = given
    first, last = stretch_of(len(rating), stretch)
    for at in range(first, last):
        cell = cell_of(users, movies, user[at], movie[at])
        place = cursor[cell]
        cursor[cell] = place + 1
        to_user[place], by_user.others[place], by_user.values[place] = user[at], movie[at], rating[at]


@compiled()
def _sort_by_user(
    users: Any, by_user: Any, first: int, place: Any, cursor: Any, order: Any, keys: Any, buffer: Any, ratings: Any
) -> None:
    """Sort a cell by user, in place and stably."""
    size = len(users)
    for at in range(size):
        keys[at] = place[users[at]]
    counting_sort(keys[:size], order, cursor)
    for column in (users, by_user.others[first : first + size]):
        buffer[:size] = column
        for at in range(size):
            column[at] = buffer[order[at]]
    values = by_user.values[first : first + size]
    ratings[:size] = values
    for at in range(size):
        values[at] = ratings[order[at]]


@compiled()
def _sort_by_movie(
    users: Any, by_user: Any, by_movie: Any, first: int, place: Any, cursor: Any, keys: Any, movies: Any
) -> None:
    """Sort a cell that is sorted by user stably by movie; `movies` receives the rows."""
    size = len(users)
    given, slot = by_user.others[first : first + size], by_movie.values[first : first + size]
    for at in range(size):
        keys[at] = place[given[at]]
    counting_sort(keys[:size], slot, cursor)
    others = by_movie.others[first : first + size]
    for at in range(size):
        others[at], movies[at] = users[slot[at]], given[slot[at]]


@compiled()
def _write_groups(rows: Any, cursor: Any, first: int, into: Any, group: int, part: Any, side: int) -> None:
    """Write each row of a sorted cell with its first rating, and the end of the last row's ratings."""
    part[side] = group
    for place in range(len(cursor) - 1):
        if cursor[place] < cursor[place + 1]:
            into.rows[group], into.starts[group] = rows[cursor[place]], first + cursor[place]
            group += 1
    part[side + 1], into.starts[group] = group, first + cursor[-1]


@compiled()
def assign_to_batches(
    phases: Phases, thread: int, cells: Any, visit: Any, batch: Any, first: Any, by_user: Any, by_movie: Any, parts: Any
) -> None:
    """Assign the cells of a visit to its batches, grouped again; for a thread team, in one phase.

    Args:
        phases: The state of the team's phases.
        thread: Number of this thread.
        cells: All ratings grouped within each cell, see `Cells`.
        visit: The cells, shape (L,).
        batch: Batch of each rating of the visit, cell after cell, shape (n,).
        first: First rating of each cell in `batch`, shape (L,).
        by_user: Receives the batches grouped by user.
        by_movie: Receives the batches grouped by movie.
        parts: Receives the groups and ratings of each part, shape (S, L, 6).
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
                # Each part's groups begin at its first rating, plus one for each part before, because every
                # part has an extra entry for the end of its last group.
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
    """Append each rating of a cell to its batch, in one pass."""
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
