"""Statistics of the training ratings for the monitor: their spread, and the popularity of each row."""

from collections.abc import Mapping

import torch
from torch import Tensor

from cfmodel.column_statistics import standard_deviation
from cfmodel.gradients.measuring.table_probe_cpu import is_float32_on_cpu
from cfmodel.gradients.measuring.touched_rows import DECILES, popularity_deciles
from cfmodel.gradients.recording.gradient_records import Floats


class RatingStatistics:
    """Spread of the ratings and popularity of the rows.

    Attributes:
        deciles: Popularity decile of each row, by side, int64, shape (rows,).
        shares: Share of the ratings in each decile, by side, shape (10,).
        rating_std: Standard deviation of the ratings.
        rating_min: The lowest rating.
        rating_max: The highest rating.

    Args:
        rating: The N training ratings, shape (N,).
        counts: Number of ratings of each row, by side, int64, shape (rows,).
    """

    def __init__(self, rating: Tensor, counts: Mapping[str, Tensor]) -> None:
        self.deciles = {side: popularity_deciles(of_side) for side, of_side in counts.items()}
        self.shares = {side: _shares(of_side, self.deciles[side]) for side, of_side in counts.items()}
        self.rating_std = (
            standard_deviation(rating.numpy()) if is_float32_on_cpu(rating) else float(rating.std(correction=0))
        )
        self.rating_min, self.rating_max = float(rating.min()), float(rating.max())


def _shares(counts: Tensor, deciles: Tensor) -> Floats:
    by_decile = torch.zeros(DECILES, dtype=torch.int64, device=counts.device).index_add_(0, deciles, counts)
    shares: Floats = (by_decile.double() / counts.sum()).cpu().numpy()
    return shares
