"""The training ratings as the monitor needs them: how often each row is rated, and a few pairs to predict."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from cfmodel.column_statistics import standard_deviation
from cfmodel.gradients.measuring.table_look_cpu import Rows, is_on_host
from cfmodel.gradients.measuring.touched_rows import DECILES, SIDES, popularity_deciles, side_of
from cfmodel.gradients.recording.gradient_records import EMBEDDINGS, TABLES, Floats
from cfmodel.system.compiled import FAST, compiled

#: Training ratings whose predictions' spread is looked at.
PREDICTIONS = 1024


class Ratings(Protocol):
    """Ratings as tensors of one device, each of shape (N,)."""

    @property
    def user_idx(self) -> Tensor: ...
    @property
    def movie_idx(self) -> Tensor: ...
    @property
    def rating(self) -> Tensor: ...


class Population:
    """Who and what is rated, by side.

    Attributes:
        deciles: Part of each row by popularity, int64, shape (rows,).
        shares: Share of the ratings in each of those parts, shape (10,).
        rating_std: Standard deviation of the ratings.
        rating_min: The lowest rating.
        rating_max: The highest rating.

    Args:
        ratings: The N training ratings.
        tables: The tables that are learned from them, by name, each of shape (rows, K).
        counts: How many of them each row of a side has, by `user` and `movie`, int64, shape (rows,).
    """

    def __init__(self, ratings: Ratings, tables: Mapping[str, Tensor], counts: Mapping[str, Tensor]) -> None:
        index = {"user": ratings.user_idx, "movie": ratings.movie_idx}
        self.deciles = {side: popularity_deciles(counts[side]) for side in SIDES}
        self.shares = {side: _shares(counts[side], self.deciles[side]) for side in SIDES}
        on_host = is_on_host(ratings.rating)
        self.rating_std = (
            standard_deviation(ratings.rating.numpy()) if on_host else float(ratings.rating.std(correction=0))
        )
        self.rating_min, self.rating_max = float(ratings.rating.min()), float(ratings.rating.max())
        number = min(PREDICTIONS, len(ratings.rating))
        spaced = torch.arange(number, device=ratings.rating.device) * (len(ratings.rating) - 1) // max(number - 1, 1)
        pairs = {side: index[side][spaced] for side in SIDES}
        self._spreads = (_CompiledSpreads if is_on_host(*tables.values()) else _TensorSpreads)(tables, pairs)

    def spreads(self) -> tuple[float, float]:
        """Return the standard deviations of the predictions and of their dot products, in rating units.

        The global mean is left out: it shifts all predictions alike.
        """
        return self._spreads.find()


class _TensorSpreads:
    """By tensor operations, on any device."""

    def __init__(self, tables: Mapping[str, Tensor], pairs: Mapping[str, Tensor]) -> None:
        self._tables, self._pairs = tables, pairs

    @torch.no_grad()
    def find(self) -> tuple[float, float]:
        rows = {name: table[self._pairs[side_of(name)]] for name, table in self._tables.items()}
        dot = (rows["user_embeddings"] * rows["movie_embeddings"]).sum(dim=1)
        predictions = dot + (rows["user_biases"] + rows["movie_biases"]).squeeze(1)
        return float(predictions.std(correction=0)), float(dot.std(correction=0))


class _CompiledSpreads:
    """Compiled, of float32 tables of the CPU."""

    def __init__(self, tables: Mapping[str, Tensor], pairs: Mapping[str, Tensor]) -> None:
        self._rows = [Rows.of(tables[name].detach()) for name in TABLES]
        self._pairs = [pairs[side].numpy() for side in SIDES]

    def find(self) -> tuple[float, float]:
        found: tuple[float, float] = _spreads(*self._rows, *self._pairs)
        return found


@cache
def compile_spreads() -> None:
    """Have it compiled, or read back, before a clock runs."""
    tables = {name: torch.zeros(1, 2 if name in EMBEDDINGS else 1) for name in TABLES}
    _CompiledSpreads(tables, dict.fromkeys(SIDES, torch.zeros(1, dtype=torch.int32))).find()


@compiled(fastmath=FAST)
def _spreads(
    user_rows: Any, user_biases: Any, movie_rows: Any, movie_biases: Any, users: Any, movies: Any
) -> tuple[float, float]:
    dots, predictions = np.empty(len(users)), np.empty(len(users))
    for at in range(len(users)):
        user, movie, dot = users[at], movies[at], np.float32(0.0)
        for k in range(user_rows.dim):
            dot += user_rows.values[user * user_rows.stride + k] * movie_rows.values[movie * movie_rows.stride + k]
        dots[at] = dot
        bias = user_biases.values[user * user_biases.stride] + movie_biases.values[movie * movie_biases.stride]
        predictions[at] = dot + bias
    return predictions.std(), dots.std()


def _shares(counts: Tensor, deciles: Tensor) -> Floats:
    by_decile = torch.zeros(DECILES, dtype=torch.int64, device=counts.device).index_add_(0, deciles, counts)
    shares: Floats = (by_decile.double() / counts.sum()).cpu().numpy()
    return shares
