"""Who has rated which movie, and which of those ratings a model learned from.

Lists leave out what a user has rated, and a model is not judged on ratings it learned from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from cfmodel.data.splitting.parts import RatingArrays

#: Pairs processed at once, which bounds the memory of intermediate arrays.
_BLOCK = 2**20


@dataclass(frozen=True, eq=False)
class SeenMovies:
    """The movies each user has rated, in compressed sparse row form.

    Attributes:
        starts: Position of each user's first movie in `movie_idx`, int64, shape (U + 1,).
        movie_idx: Movie rows, grouped by user, ascending and unique within a user, int32, shape (N,).
    """

    starts: npt.NDArray[np.int64]
    movie_idx: npt.NDArray[np.int32]

    @classmethod
    def of(cls, user_idx: npt.NDArray[np.int32], movie_idx: npt.NDArray[np.int32], num_users: int) -> Self:
        """Group ratings by user; skip those with a cold side (a negative row).

        Args:
            user_idx: Rows of the users, shape (N,).
            movie_idx: Rows of the movies, shape (N,).
            num_users: Users, U.
        """
        width = int(movie_idx.max(initial=0)) + 1
        warm = (user_idx >= 0) & (movie_idx >= 0)
        users, movies = np.divmod(np.unique(user_idx[warm].astype(np.int64) * width + movie_idx[warm]), width)
        starts = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=num_users))])
        return cls(starts.astype(np.int64), movies.astype(np.int32))

    def counts(self, user_idx: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        """Return how many movies each user has seen, 0 where the user is cold, shape (B,)."""
        known = np.maximum(user_idx, 0)
        return np.where(user_idx >= 0, self.starts[known + 1] - self.starts[known], 0)

    def cells(self, user_idx: npt.NDArray[np.integer[Any]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Return all (position in `user_idx`, movie row) pairs that are seen; a cold user has none."""
        counts = self.counts(user_idx)
        starts = self.starts[np.maximum(user_idx, 0)]
        positions = np.repeat(np.arange(len(user_idx)), counts)
        # Cell n of all is cell n - (cells of earlier users) of its own user.
        within = np.arange(len(positions)) - np.repeat(np.cumsum(counts) - counts, counts)
        return positions, self.movie_idx[np.repeat(starts, counts) + within]

    def contains(
        self, user_idx: npt.NDArray[np.integer[Any]], movie_idx: npt.NDArray[np.integer[Any]]
    ) -> npt.NDArray[np.bool_]:
        """Return which pairs have been seen; False where a side is cold, shape (N,)."""
        found = np.zeros(len(user_idx), bool)
        # In blocks of whole users, so that at most a few million cells are in memory.
        order = np.argsort(user_idx, kind="stable")
        users, firsts = np.unique(user_idx[order], return_index=True)
        ends = np.cumsum(self.counts(users))
        width = 1 + int(max(self.movie_idx.max(initial=0), movie_idx.max(initial=0)))
        start = 0
        while start < len(users):
            done = ends[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, done + _BLOCK, side="right")))
            rows = order[firsts[start] : firsts[stop] if stop < len(users) else None]
            found[rows] = self._contains(users[start:stop], user_idx[rows], movie_idx[rows], width)
            start = stop
        return found

    def _contains(
        self,
        users: npt.NDArray[np.integer[Any]],
        user_idx: npt.NDArray[np.integer[Any]],
        movie_idx: npt.NDArray[np.integer[Any]],
        width: int,
    ) -> npt.NDArray[np.bool_]:
        """Return which pairs have been seen; their users are exactly `users`, ascending."""
        owners, movies = self.cells(users)
        mine = owners * width + movies
        if not len(mine):
            return np.zeros(len(user_idx), bool)
        asked = np.searchsorted(users, user_idx) * width + movie_idx
        place = np.minimum(np.searchsorted(mine, asked), len(mine) - 1)
        found: npt.NDArray[np.bool_] = (user_idx >= 0) & (movie_idx >= 0) & (mine[place] == asked)
        return found


@dataclass(frozen=True, eq=False)
class History:
    """All known ratings of the users of a model, and which of them it learned from.

    Attributes:
        seen: Every movie a user is known to have rated; lists leave these out.
        is_trained: Whether the model learned from that pair, in the order of `seen.movie_idx`, bool, shape (N,).
    """

    seen: SeenMovies
    is_trained: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, trained: Sequence[RatingArrays], held_out: Sequence[RatingArrays], *, num_users: int) -> Self:
        """Merge the ratings the model learned from with those held out.

        Args:
            trained: Ratings the model learned from; a pair in both counts as learned from.
            held_out: Other ratings of the same users; those with a cold side are skipped.
            num_users: Users, U.
        """
        parts = [*trained, *held_out]
        width = 1 + max(int(part.movie_idx.max(initial=0)) for part in parts)
        keys = _tagged_pairs(parts, width, num_tagged=len(trained))
        keys = _last_of_each_pair(keys)
        starts = np.searchsorted(keys, np.arange(num_users + 1) * (2 * width))
        is_trained = (keys.astype(np.uint8) & 1).astype(bool)
        # In place: the keys of 25 million pairs take 200 MB.
        keys >>= 1
        keys %= width
        return cls(SeenMovies(starts, keys.astype(np.int32)), is_trained)

    @property
    def trained(self) -> SeenMovies:
        """Movies of each user that the model learned from."""
        held_out = np.flatnonzero(~self.is_trained)
        starts = self.seen.starts - np.searchsorted(held_out, self.seen.starts)
        return SeenMovies(starts, self.seen.movie_idx[self.is_trained])

    def write(self, path: Path) -> None:
        """Write the history as safetensors: `starts`, `movie_idx` and `is_trained`."""
        tensors: dict[str, npt.NDArray[Any]] = {
            "starts": self.seen.starts,
            "movie_idx": self.seen.movie_idx,
            "is_trained": self.is_trained,
        }
        path.write_bytes(safetensors.numpy.save(tensors))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a history that `write` wrote.

        Raises:
            KeyError: A tensor is missing.
            ValueError: The tensors do not fit together.
        """
        tensors = safetensors.numpy.load(path.read_bytes())
        starts, movies, is_trained = (tensors[name] for name in ("starts", "movie_idx", "is_trained"))
        if len(movies) != len(is_trained) or starts[-1] != len(movies) or (np.diff(starts) < 0).any():
            raise ValueError(f"{path.name}: the lists of seen movies do not fit together")
        return cls(SeenMovies(starts, movies), is_trained.astype(bool))


def _tagged_pairs(parts: Sequence[RatingArrays], width: int, *, num_tagged: int) -> npt.NDArray[np.int64]:
    """Return the sorted keys of all pairs: (user * width + movie) * 2, plus 1 in the first `num_tagged` parts."""
    keys, end = np.empty(sum(map(len, parts)), np.int64), 0
    for number, part in enumerate(parts):
        user, movie = part.user_idx, part.movie_idx
        warm = (user >= 0) & (movie >= 0)
        if not warm.all():
            user, movie = user[warm], movie[warm]
        here = keys[end : end + len(user)]
        np.multiply(user, 2 * width, out=here, dtype=np.int64)
        for _ in range(2):
            here += movie
        here += number < num_tagged
        end += len(user)
    keys = keys[:end]
    keys.sort()
    return keys


def _last_of_each_pair(keys: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Keep one key of each pair: its last, which has the tag where any has."""
    last = np.ones(len(keys), bool)
    for start in range(0, len(keys) - 1, _BLOCK):
        stop = min(start + _BLOCK, len(keys) - 1)
        last[start:stop] = keys[start:stop] >> 1 != keys[start + 1 : stop + 1] >> 1
    return keys if last.all() else keys[last]
