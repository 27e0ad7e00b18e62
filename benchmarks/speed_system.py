"""What another system is to the benchmark: how it trains, what it has reached, and what is asked of us against it."""

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
        epochs: Passes over the training ratings by then.
        seconds: Time taken, from arrays in memory to these weights.
        predict: What it predicts now; no longer once training goes on.
    """

    epochs: int
    seconds: float
    predict: Predict


@dataclass(frozen=True)
class Goal:
    """What a figure must be and what it is aimed at; None: nothing is asked.

    Attributes:
        must: Bound that has to hold.
        aim: Bound that is wished for.
        at_least: Whether larger is better.
    """

    must: float | None = None
    aim: float | None = None
    at_least: bool = False

    def verdict(self, value: float) -> str:
        """Return `aim`, `met` or `missed`; nothing where nothing is asked."""
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
        name: What the tables call it, and the option that picks it.
        settings: What it is trained with, for the table.
        goal: What our seconds over its seconds are to be.
        prepare: Turns a set into what the system reads; not on the clock.
        train: Trains, yielding what it has reached: for so many epochs, or on and on for None.
        package: Distribution it comes from; None: it is here.
        module: What is imported of it.
        patience: Points without a better RMSE after which its best one is taken.
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
        """Its version, or None where it is not installed."""
        if self.package is None or self.module is None:
            return "here"
        try:
            return version(self.package) if find_spec(self.module) else None
        except PackageNotFoundError:
            return None


class Factors(NamedTuple):
    """A factorisation by numbers."""

    users: np.ndarray
    movies: np.ndarray
    user_bias: np.ndarray | float = 0.0
    movie_bias: np.ndarray | float = 0.0
    mean: float = 0.0

    def predict(self, user: np.ndarray, movie: np.ndarray) -> np.ndarray:
        """Return mean, biases and the product of both rows."""
        user_bias, movie_bias = (
            bias[rows] if isinstance(bias, np.ndarray) else bias
            for bias, rows in ((self.user_bias, user), (self.movie_bias, movie))
        )
        found: np.ndarray = (
            self.mean + user_bias + movie_bias + np.einsum("nk,nk->n", self.users[user], self.movies[movie])
        )
        return found
