"""The inputs of a lesson. The lesson of a whole run is tested in tests/commands/test_explain.py."""

import pytest
import torch

from cfmodel.column_statistics import RatingScale
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.explain import example_of


def test_an_example_predicts_what_the_model_predicts() -> None:
    model = CollaborativeFiltering(
        3, 4, 5, scale=RatingScale(3.5, 2.0), init_std=0.7, generator=torch.Generator().manual_seed(1)
    )
    example = example_of(model, {"user": 1, "movie": 2}, user_id="u", movie_id="m", rating=4.5, part="train")
    assert example.vectors == example.penalized == ("user_embeddings", "movie_embeddings")
    assert example.nudged == "user_biases"
    score = float(example.score(example.rows))
    assert sum(map(float, example.terms(example.rows).values())) == pytest.approx(score)
    predicted = float(model(torch.tensor([1]), torch.tensor([2])).detach())
    assert example.scale.in_rating_units(score) == pytest.approx(predicted)
