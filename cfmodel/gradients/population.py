"""The training ratings as the monitor needs them: how often each row is rated, and a few pairs to predict."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from cfmodel.gradients.records import Floats
from cfmodel.gradients.touched import DECILES, SIDES, popularity_deciles, side_of

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
        counts: Ratings of each row, int64, shape (rows,).
        deciles: Part of each row by popularity, int64, shape (rows,).
        shares: Share of the ratings in each of those parts, shape (10,).

    Args:
        ratings: The N training ratings.
        num_rows: Rows of each side's tables.
    """

    def __init__(self, ratings: Ratings, num_rows: Mapping[str, int]) -> None:
        index = {"user": ratings.user_idx, "movie": ratings.movie_idx}
        self.counts = {side: torch.bincount(index[side], minlength=num_rows[side]) for side in SIDES}
        self.deciles = {side: popularity_deciles(self.counts[side]) for side in SIDES}
        self.shares = {side: _shares(self.counts[side], self.deciles[side]) for side in SIDES}
        number = min(PREDICTIONS, len(ratings.rating))
        spaced = torch.arange(number, device=ratings.rating.device) * (len(ratings.rating) - 1) // max(number - 1, 1)
        self._pairs = {side: index[side][spaced] for side in SIDES}

    @torch.no_grad()
    def spreads(self, tables: Mapping[str, Tensor]) -> tuple[float, float]:
        """Return the standard deviations of the predictions and of their dot products, in rating units."""
        rows = {name: table[self._pairs[side_of(name)]] for name, table in tables.items()}
        dot = (rows["user_embeddings"] * rows["movie_embeddings"]).sum(dim=1)
        # The global mean is left out: it shifts all predictions alike.
        predictions = dot + (rows["user_biases"] + rows["movie_biases"]).squeeze(1)
        return float(predictions.std(correction=0)), float(dot.std(correction=0))


def _shares(counts: Tensor, deciles: Tensor) -> Floats:
    by_decile = torch.zeros(DECILES, dtype=torch.int64, device=counts.device).index_add_(0, deciles, counts)
    shares: Floats = (by_decile.double() / counts.sum()).cpu().numpy()
    return shares
