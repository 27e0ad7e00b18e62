"""The spread of a model's predictions over a few training ratings, for the monitor."""

from functools import cache, reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cfmodel.gradients.measuring.table_look_cpu import Rows, is_on_host
from cfmodel.model import CollaborativeFiltering
from cfmodel.system.compiled import FAST, compiled
from cfmodel.tables import SIDES, Side
from cfmodel.training.batching.batches import DeviceRatings

#: Training ratings that are predicted, evenly spaced.
PREDICTIONS = 1024


class PredictionSpread:
    """Predicts the same ratings again and again, from the tables as they are.

    On the CPU dot products are compiled; `find_by_tensors` is the same on any device.

    Args:
        model: What predicts.
        ratings: The N training ratings, on the model's device.
    """

    def __init__(self, model: CollaborativeFiltering, ratings: DeviceRatings) -> None:
        number, last = min(PREDICTIONS, len(ratings)), len(ratings) - 1
        spaced = torch.arange(number, device=ratings.rating.device) * last // max(number - 1, 1)
        self._model = model
        self._index = {"user": ratings.user_idx[spaced], "movie": ratings.movie_idx[spaced]}
        self._weights = {name: weight.detach() for name, weight in model.weights().items()}
        self._products = [(term.user, term.movie) for term in model.TERMS if term.user and term.movie]
        self._compiled = is_on_host(*self._weights.values())
        if self._compiled:
            _compile()
            self._places = [self._index[side].numpy() for side in SIDES]
            self._rows = {name: Rows.of(weight) for name, weight in self._weights.items()}

    def find(self) -> tuple[float, float]:
        """Return the standard deviations of the predictions and of their dot products, in rating units.

        The global mean is left out: it shifts all predictions alike.
        """
        if not self._compiled:
            return self.find_by_tensors()
        dots, predictions = (np.zeros(len(self._index["user"])) for _ in range(2))
        own = [self._own(side) for side in SIDES]
        for user, movie in self._products:
            _add_products(self._rows[user], self._rows[movie], *self._places, *own, dots, predictions)
            own = [np.zeros_like(each) for each in own]  # added once
        if not self._products:
            predictions += own[0] + own[1]
        found: tuple[float, float] = _spreads(predictions, dots)
        return found

    @torch.no_grad()
    def find_by_tensors(self) -> tuple[float, float]:
        """Return the same by tensor operations."""
        rows = self._model.look_up(self._index["user"], self._index["movie"])
        user, movie = (self._model.side_rows(side, rows) for side in SIDES)
        dot = (user.vectors * movie.vectors).sum(dim=1)
        return _spread(dot + (user.offset + movie.offset)), _spread(dot)

    def _own(self, side: Side) -> Any:
        """Return what a side brings to each prediction alone."""
        names = [getattr(term, side) for term in self._model.TERMS if not (term.user and term.movie)]
        places = self._index[side].numpy()
        found = [self._weights[name].numpy()[places, 0] for name in names if name]
        return reduce(np.add, found) if found else np.zeros(len(places), np.float32)


def _spread(values: Tensor) -> float:
    return float(values.std(correction=0))


@cache
def _compile() -> None:
    """Have it compiled, or read back, before a clock runs."""
    rows, own, found = Rows.of(torch.zeros(1, 2)), np.zeros(1, np.float32), np.zeros(1)
    for kind in (np.int32, np.int64):
        _add_products(rows, rows, np.zeros(1, kind), np.zeros(1, kind), own, own, found, found)
    _spreads(found, found)


@compiled(fastmath=FAST)
def _add_products(
    users: Any, movies: Any, user_idx: Any, movie_idx: Any, user_own: Any, movie_own: Any, dots: Any, predictions: Any
) -> None:
    """Add the dot products of pairs of rows to the first, and with what either side adds alone to the second."""
    for at in range(len(dots)):
        user, movie, dot = user_idx[at], movie_idx[at], np.float32(0.0)
        for k in range(users.dim):
            dot += users.values[user * users.stride + k] * movies.values[movie * movies.stride + k]
        dots[at] += dot
        predictions[at] += dot + (user_own[at] + movie_own[at])


@compiled(fastmath=FAST)
def _spreads(predictions: Any, dots: Any) -> tuple[float, float]:
    return predictions.std(), dots.std()
