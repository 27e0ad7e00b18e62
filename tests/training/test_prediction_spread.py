"""The spread of predictions."""

import pytest
import torch

from cfmodel.column_statistics import RatingScale
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import DeviceRatings
from cfmodel.training.prediction_spread import PredictionSpread


@pytest.mark.parametrize("measure", [PredictionSpread.measure, PredictionSpread.measure_by_tensors])
def test_the_spread_of_the_predictions_is_that_of_the_training_ratings(measure: object) -> None:
    assert callable(measure)
    rng = torch.Generator().manual_seed(0)
    users, movies = torch.arange(20) % 5, torch.arange(20) // 5
    model = CollaborativeFiltering(5, 4, 3, scale=RatingScale(3.0))
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(generator=rng)
    user, movie = model.side_rows("user"), model.side_rows("movie")
    dot = user.vectors @ movie.vectors.T
    whole = dot + user.offset[:, None] + movie.offset
    expected = pytest.approx((float(whole.std(correction=0)), float(dot.std(correction=0))))
    assert measure(PredictionSpread(model, DeviceRatings(users, movies, torch.ones(20)))) == expected
