"""Another system as the benchmark sees it: its training, its result, and our target against it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from speed_sets import Predict, RatingSet


class Point(NamedTuple):
    """A system at one moment of its training.

    Attributes:
        epochs: Passes over the training ratings so far.
        seconds: Seconds from arrays in memory to these weights.
        predict: Its predictor at this moment; invalid once training continues.
    """

    epochs: int
    seconds: float
    predict: Predict


@dataclass(frozen=True)
class Goal:
    """The required and the desired bound of a figure; None: no bound.

    Attributes:
        must: Required bound.
        aim: Desired bound.
        at_least: Whether larger is better.
    """

    must: float | None = None
    aim: float | None = None
    at_least: bool = False

    def verdict(self, value: float) -> str:
        """Return `aim`, `met` or `missed`; an empty string if there is no bound."""
        if self._holds(value, self.aim):
            return "aim"
        if self._holds(value, self.must):
            return "met"
        return "" if self.must is None else "missed"

    def _holds(self, value: float, bound: float | None) -> bool:
        return bound is not None and (value >= bound if self.at_least else value <= bound)


@dataclass(frozen=True)
class Peer:
    """One system.

    Attributes:
        name: Its name in the tables and on the command line.
        settings: Its settings, for the table.
        goal: Target for our seconds over its seconds.
        prepare: Converts a set to the input of the system; not timed.
        train: Trains and yields its results: for this many epochs, or without end for None.
        package: Its distribution; None for one in this folder.
        module: Its module to import.
        patience: Points without a better RMSE after which the best one counts.
    """

    name: str
    settings: str
    goal: Goal
    prepare: Callable[[RatingSet], Any]
    train: Callable[[Any, int | None], Iterator[Point]]
    package: str | None = None
    module: str | None = None
    patience: int = 2

    @property
    def version(self) -> str | None:
        """Its version, or None if it is not installed."""
        if self.package is None or self.module is None:
            return "here"
        try:
            return version(self.package) if find_spec(self.module) else None
        except PackageNotFoundError:
            return None


class Factors(NamedTuple):
    """The tables of a matrix factorisation."""

    users: np.ndarray
    movies: np.ndarray
    user_bias: np.ndarray | float = 0.0
    movie_bias: np.ndarray | float = 0.0
    mean: float = 0.0

    def predict(self, user: np.ndarray, movie: np.ndarray) -> np.ndarray:
        """Return the mean plus biases plus the dot product of both rows."""
        user_bias, movie_bias = (
            bias[rows] if isinstance(bias, np.ndarray) else bias
            for bias, rows in ((self.user_bias, user), (self.movie_bias, movie))
        )
        found: np.ndarray = (
            self.mean + user_bias + movie_bias + np.einsum("nk,nk->n", self.users[user], self.movies[movie])
        )
        return found
