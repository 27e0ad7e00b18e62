"""Statistics of the training ratings."""

import pytest
import torch

from cfmodel.gradients.measuring.rating_statistics import RatingStatistics


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["compiled", "tensors"])
def test_the_spread_and_the_shares_of_ratings_worked_by_hand(dtype: torch.dtype) -> None:
    found = RatingStatistics(torch.tensor([1.0, 3.0, 3.0, 5.0], dtype=dtype), {"user": torch.tensor([0, 1, 3])})
    assert (found.rating_std, found.rating_min, found.rating_max) == (pytest.approx(2**0.5), 1.0, 5.0)
    assert found.deciles["user"].tolist() == [0, 0, 5]
    assert found.shares["user"].tolist() == [0.25, 0, 0, 0, 0, 0.75, 0, 0, 0, 0]
