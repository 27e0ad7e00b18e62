"""The spread of predictions over a sample of the training ratings, for the monitor."""

from functools import cache, reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cfmodel.gradients.measuring.table_probe_cpu import FlatRows, is_float32_on_cpu
from cfmodel.model import CollaborativeFiltering
from cfmodel.system.compiled import FAST, compiled
from cfmodel.tables import SIDES, Side
from cfmodel.training.batching.batches import DeviceRatings

#: Most training ratings in the sample, evenly spaced.
_PREDICTIONS = 1024


class PredictionSpread:
    """Measures the spread of the predictions of the same ratings, from the current weights.

    Args:
        model: The model.
        ratings: The N training ratings, on the model's device.
    """

    def __init__(self, model: CollaborativeFiltering, ratings: DeviceRatings) -> None:
        number, last = min(_PREDICTIONS, len(ratings)), len(ratings) - 1
        spaced = torch.arange(number, device=ratings.rating.device) * last // max(number - 1, 1)
        self._model = model
        self._index = {"user": ratings.user_idx[spaced], "movie": ratings.movie_idx[spaced]}
        self._weights = {name: weight.detach() for name, weight in model.weights().items()}
        self._products = [(term.user, term.movie) for term in model.TERMS if term.user and term.movie]
        self._compiled = is_float32_on_cpu(*self._weights.values())
        if self._compiled:
            _compile()
            self._places = [self._index[side].numpy() for side in SIDES]
            self._rows = {name: FlatRows.of(weight) for name, weight in self._weights.items()}

    def measure(self) -> tuple[float, float]:
        """Return the standard deviations of the scores and of their dot products, in those of the ratings.

        Compiled for float32 on the CPU; `measure_by_tensors`
        is the twin for all else.
        """
        if not self._compiled:
            return self.measure_by_tensors()
        dots, predictions = (np.zeros(len(self._index["user"])) for _ in range(2))
        own = [self._own(side) for side in SIDES]
        for user, movie in self._products:
            _add_products(self._rows[user], self._rows[movie], *self._places, *own, dots, predictions)
            own = [np.zeros_like(each) for each in own]  # added only once
        if not self._products:
            predictions += own[0] + own[1]
        spreads: tuple[float, float] = _spreads(predictions, dots)
        return spreads

    @torch.no_grad()
    def measure_by_tensors(self) -> tuple[float, float]:
        """Return the same by tensor operations, on any device."""
        rows = self._model.look_up(self._index["user"], self._index["movie"])
        user, movie = (self._model.side_rows(side, rows) for side in SIDES)
        dot = (user.vectors * movie.vectors).sum(dim=1)
        return _spread(dot + (user.offset + movie.offset)), _spread(dot)

    def _own(self, side: Side) -> Any:
        """Return the sum of the terms that depend on one side alone."""
        names = [getattr(term, side) for term in self._model.TERMS if not (term.user and term.movie)]
        places = self._index[side].numpy()
        terms = [self._weights[name].numpy()[places, 0] for name in names if name]
        return reduce(np.add, terms) if terms else np.zeros(len(places), np.float32)


def _spread(values: Tensor) -> float:
    return float(values.std(correction=0))


@cache
def _compile() -> None:
    """Compile everything, or load it from the cache, before training is timed."""
    rows, own, result = FlatRows.of(torch.zeros(1, 2)), np.zeros(1, np.float32), np.zeros(1)
    for kind in (np.int32, np.int64):
        _add_products(rows, rows, np.zeros(1, kind), np.zeros(1, kind), own, own, result, result)
    _spreads(result, result)


@compiled(fastmath=FAST)
def _add_products(
    users: Any, movies: Any, user_idx: Any, movie_idx: Any, user_own: Any, movie_own: Any, dots: Any, predictions: Any
) -> None:
    """Add the dot product of each pair of rows to `dots`, and with both sides' own terms to `predictions`."""
    for at in range(len(dots)):
        user, movie, dot = user_idx[at], movie_idx[at], np.float32(0.0)
        for k in range(users.dim):
            dot += users.values[user * users.stride + k] * movies.values[movie * movies.stride + k]
        dots[at] += dot
        predictions[at] += dot + (user_own[at] + movie_own[at])


@compiled(fastmath=FAST)
def _spreads(predictions: Any, dots: Any) -> tuple[float, float]:
    return predictions.std(), dots.std()
