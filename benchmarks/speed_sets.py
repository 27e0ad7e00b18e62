"""The sets of the races, with the same training and test part for every system, and the scoring of a model."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from trainings import ratings_of

from cfmodel.data.splitting.parts import RatingArrays

#: Generated sets, with all settings of the generator, and sets read from CFMODEL_DATA_DIR.
ML_1M, ML_25M = "synthetic ML-1M", "synthetic ML-25M"
SOURCES = {
    ML_1M: "synthetic:users=6040,movies=3706,ratings=1000209,seed=0,noise=0.6,signal=0.5,factors=3",
    "ml-100k": "ml-100k/u.data",
    "ml-latest-small": "ml-latest-small/ratings.csv",
    ML_25M: "synthetic:users=162541,movies=59047,ratings=25000000,seed=0,noise=0.6,signal=0.5,factors=3",
}
SPLIT_SEED = 0
#: Ratings scored at a time.
_BLOCK = 65_536

#: Returns predictions for user rows and movie rows, in rating units.
Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class RatingSet:
    """Ratings to train on and to score on; every user and movie of the test part is in train.

    Attributes:
        name: Its name in the tables.
        train: N ratings, in random order.
        test: Held-out ratings.
        num_users: Users in train, U; their rows are [0, U).
        num_movies: Movies in train, M.
        left_out: Held-out ratings whose user or movie is not in train; not every system can score these.
    """

    name: str
    train: RatingArrays
    test: RatingArrays
    num_users: int
    num_movies: int
    left_out: int

    @classmethod
    def divided(cls, name: str, ratings: RatingArrays, *, seed: int = SPLIT_SEED) -> "RatingSet":
        """Hold out a random tenth of the ratings."""
        order = np.random.default_rng(seed).permutation(len(ratings))
        held_out, kept = np.split(order, [len(ratings) // 10])
        users, movies = (np.unique(column[kept]) for column in (ratings.user_idx, ratings.movie_idx))
        warm = held_out[np.isin(ratings.user_idx[held_out], users) & np.isin(ratings.movie_idx[held_out], movies)]
        train, test = (
            RatingArrays(
                user_idx=np.searchsorted(users, ratings.user_idx[part]).astype(np.int32),
                movie_idx=np.searchsorted(movies, ratings.movie_idx[part]).astype(np.int32),
                rating=ratings.rating[part].astype(np.float32),
            )
            for part in (kept, warm)
        )
        return cls(name, train, test, len(users), len(movies), len(held_out) - len(warm))

    def validation(self, division: int = 1) -> "RatingSet":
        """Return a split of the training part alone, with a seed of its own, to choose settings on."""
        return self.divided(f"{self.name}, val", self.train, seed=SPLIT_SEED + division)

    def rmse(self, predict: Predict) -> float:
        """Return the RMSE on the test part, with predictions clamped to the range of train, in rating units."""
        test, low, high = self.test, self.train.rating.min(), self.train.rating.max()
        squares = 0.0
        for start in range(0, len(test), _BLOCK):
            part = slice(start, start + _BLOCK)
            predicted = np.clip(predict(test.user_idx[part], test.movie_idx[part]), low, high)
            squares += float(np.square(predicted - test.rating[part], dtype=np.float64).sum())
        return math.sqrt(squares / len(test))

    def __str__(self) -> str:
        cold = f", {self.left_out:,} more left out as cold" if self.left_out else ""
        return (
            f"{self.name}: {len(self.train):,} training and {len(self.test):,} test ratings{cold}, "
            f"{self.num_users:,} users, {self.num_movies:,} movies"
        )


def is_at_hand(name: str) -> bool:
    """Return whether a set is generated, or is in the folder named by CFMODEL_DATA_DIR."""
    source = SOURCES[name]
    return source.startswith("synthetic") or Path(os.environ.get("CFMODEL_DATA_DIR", ""), source).is_file()


def load(name: str) -> RatingSet:
    """Read or generate a set and split it."""
    return RatingSet.divided(name, RatingArrays(*ratings_of(SOURCES[name])))
