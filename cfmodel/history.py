"""Who has rated which movie: what a list leaves out, and what a model must not be judged on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import safetensors.numpy

from cfmodel.data.parts import RatingArrays


@dataclass(frozen=True, eq=False)
class SeenMovies:
    """The movies each user has rated, as one array and where each user's stretch starts.

    Attributes:
        starts: Position of each user's first movie, int64, shape (U + 1,).
        movie_idx: Movie rows, user by user, rising within each, each once, int32, shape (N,).
    """

    starts: npt.NDArray[np.int64]
    movie_idx: npt.NDArray[np.int32]

    @classmethod
    def of(cls, user_idx: npt.NDArray[np.int32], movie_idx: npt.NDArray[np.int32], num_users: int) -> Self:
        """Group ratings by user; those with a cold side (a negative row) are left out.

        Args:
            user_idx: Rows of the users, shape (N,).
            movie_idx: Rows of the movies, shape (N,).
            num_users: Users, U.
        """
        width = int(movie_idx.max(initial=0)) + 1
        return cls._of_pairs(np.unique(_pairs(user_idx, movie_idx, width)), width, num_users)

    @classmethod
    def _of_pairs(cls, pairs: npt.NDArray[np.int64], width: int, num_users: int) -> Self:
        users, movies = np.divmod(pairs, width)
        starts = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=num_users))])
        return cls(starts.astype(np.int64), movies.astype(np.int32))

    def __len__(self) -> int:
        return len(self.movie_idx)

    def counts(self, user_idx: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.int64]:
        """Return how many movies each user has seen; none where the user is cold."""
        known = np.maximum(user_idx, 0)
        return np.where(user_idx >= 0, self.starts[known + 1] - self.starts[known], 0)

    def cells(self, user_idx: npt.NDArray[np.integer[Any]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Return positions in `user_idx` and the movie rows seen there; a cold user has seen none."""
        counts = self.counts(user_idx)
        starts = self.starts[np.maximum(user_idx, 0)]
        positions = np.repeat(np.arange(len(user_idx)), counts)
        # Within its user's stretch, the n-th cell of all is the (n - cells of the users before)-th.
        within = np.arange(len(positions)) - np.repeat(np.cumsum(counts) - counts, counts)
        return positions, self.movie_idx[np.repeat(starts, counts) + within]

    def contains(
        self, user_idx: npt.NDArray[np.integer[Any]], movie_idx: npt.NDArray[np.integer[Any]]
    ) -> npt.NDArray[np.bool_]:
        """Tell which pairs are among them; a pair with a cold side is not, shape (N,)."""
        users, position = np.unique(user_idx, return_inverse=True)
        width = 1 + int(max(self.movie_idx.max(initial=0), movie_idx.max(initial=0)))
        # Of the users asked about alone: theirs may be few of many million.
        owners, movies = self.cells(users)
        mine = owners * width + movies
        asked = position * width + movie_idx
        if not len(mine):
            return np.zeros(len(asked), bool)
        place = np.minimum(np.searchsorted(mine, asked), len(mine) - 1)
        found: npt.NDArray[np.bool_] = (user_idx >= 0) & (movie_idx >= 0) & (mine[place] == asked)
        return found


@dataclass(frozen=True, eq=False)
class History:
    """What was known of the users when a model was trained, and which of it the model learned from.

    Attributes:
        seen: Every movie a user is known to have rated: no list holds it again.
        is_trained: Whether the model learned from a rating of that pair, shape (N,).
    """

    seen: SeenMovies
    is_trained: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, trained: Sequence[RatingArrays], held_out: Sequence[RatingArrays], *, num_users: int) -> Self:
        """Collect the pairs of ratings that were learned from and of ratings that were not.

        Args:
            trained: Ratings the model learned from; a pair that is in both was learned from.
            held_out: Other ratings of the same users; those with a cold side are left out.
            num_users: Users, U.
        """
        parts = [*trained, *held_out]
        width = 1 + max(int(part.movie_idx.max(initial=0)) for part in parts)
        tagged = [
            # The tag is the lowest bit, so that of a pair in both the learned one comes last.
            _pairs(part.user_idx, part.movie_idx, width) * 2 + (position < len(trained))
            for position, part in enumerate(parts)
        ]
        keys = np.unique(np.concatenate(tagged))
        pairs = keys >> 1
        last = np.append(pairs[1:] != pairs[:-1], np.ones(min(1, len(pairs)), bool))
        return cls(SeenMovies._of_pairs(pairs[last], width, num_users), (keys[last] & 1).astype(bool))

    @property
    def trained(self) -> SeenMovies:
        """The movies of each user that the model learned from."""
        before = np.concatenate([[0], np.cumsum(self.is_trained)])
        return SeenMovies(before[self.seen.starts], self.seen.movie_idx[self.is_trained])

    def write(self, path: Path) -> None:
        """Write it as safetensors: `starts`, `movie_idx` and `is_trained`."""
        tensors: dict[str, npt.NDArray[Any]] = {
            "starts": self.seen.starts,
            "movie_idx": self.seen.movie_idx,
            "is_trained": self.is_trained,
        }
        path.write_bytes(safetensors.numpy.save(tensors))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote.

        Raises:
            KeyError: A tensor is missing.
            ValueError: They do not fit together.
        """
        tensors = safetensors.numpy.load(path.read_bytes())
        starts, movies, is_trained = (tensors[name] for name in ("starts", "movie_idx", "is_trained"))
        if len(movies) != len(is_trained) or starts[-1] != len(movies) or (np.diff(starts) < 0).any():
            raise ValueError(f"{path.name}: the lists of seen movies do not fit together")
        return cls(SeenMovies(starts, movies), is_trained.astype(bool))


def _pairs(user_idx: npt.NDArray[np.int32], movie_idx: npt.NDArray[np.int32], width: int) -> npt.NDArray[np.int64]:
    """Number the pairs whose sides are both known: user * width + movie."""
    warm = (user_idx >= 0) & (movie_idx >= 0)
    return user_idx[warm].astype(np.int64) * width + movie_idx[warm]
