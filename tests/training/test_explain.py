"""The inputs of a lesson. The lesson of a whole run is tested in tests/commands/test_explain.py."""

import pytest
import torch
from penalties import penalty_of

from cfmodel.column_statistics import RatingScale
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.explain import example_of


def test_an_example_predicts_what_the_model_predicts() -> None:
    model = CollaborativeFiltering(
        3, 4, 5, scale=RatingScale(3.5, 2.0), init_std=0.7, generator=torch.Generator().manual_seed(1)
    )
    penalty = penalty_of(model, embeddings=0.25, biases=0.5)
    penalty["movie_biases"][2] = 0.75
    rows = {"user": 1, "movie": 2}
    example = example_of(model, rows, user_id="u", movie_id="m", rating=4.5, part="train", penalty=penalty)
    assert example.vectors == ("user_embeddings", "movie_embeddings")
    assert example.penalty == {
        "user_embeddings": 0.25, "user_biases": 0.5, "movie_embeddings": 0.25, "movie_biases": 0.75,
    }  # fmt: skip
    assert example.nudged == "user_biases"
    score = float(example.score(example.rows))
    assert sum(map(float, example.terms(example.rows).values())) == pytest.approx(score)
    predicted = float(model(torch.tensor([1]), torch.tensor([2])).detach())
    assert example.scale.in_rating_units(score) == pytest.approx(predicted)
