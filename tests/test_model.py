import inspect

import pytest
import torch

from cfmodel.column_statistics import RatingScale
from cfmodel.errors import ConfigError
from cfmodel.model import CollaborativeFiltering


def small() -> CollaborativeFiltering:
    model = CollaborativeFiltering(2, 3, 2, scale=RatingScale(3.5, 2.0))
    with torch.no_grad():
        model.user_embeddings.weight.copy_(torch.tensor([[0.5, -0.2], [0.1, 0.4]]))
        model.movie_embeddings.weight.copy_(torch.tensor([[0.3, 0.1], [0.0, 1.0], [2.0, 0.0]]))
        model.user_biases.weight.copy_(torch.tensor([[0.5], [-0.5]]))
        model.movie_biases.weight.copy_(torch.tensor([[0.3], [0.0], [0.1]]))
    return model


def test_a_prediction_is_the_mean_plus_the_spread_times_both_biases_plus_the_dot_product() -> None:
    # 3.5 + 2 * (0.5 + 0.3 + (0.5 * 0.3 + -0.2 * 0.1)) and 3.5 + 2 * (-0.5 + 0.1 + 0.1 * 2)
    predictions = small()(torch.tensor([0, 1]), torch.tensor([0, 2]))
    torch.testing.assert_close(predictions, torch.tensor([5.36, 3.1], dtype=torch.float64), rtol=1e-6, atol=0)


def test_a_cold_side_falls_back_to_the_mean_and_the_known_bias() -> None:
    model = small()
    scores = model.score(torch.tensor([-1, 0, -1, 0]), torch.tensor([0, -1, -1, 0]))
    torch.testing.assert_close(scores, torch.tensor([0.3, 0.5, 0.0, 0.93]))
    expected = torch.tensor([4.1, 4.5, 3.5, 5.36], dtype=torch.float64)
    torch.testing.assert_close(model.in_rating_units(scores), expected, rtol=1e-6, atol=0)


def test_the_names_and_the_signature_are_those_of_the_textbook() -> None:
    assert set(dict(CollaborativeFiltering(2, 3).named_parameters())) == {
        f"{table}.weight" for table in ("user_embeddings", "user_biases", "movie_embeddings", "movie_biases")
    }
    parameters = inspect.signature(CollaborativeFiltering).parameters
    assert list(parameters)[:3] == ["num_users", "num_movies", "embedding_dim"]
    assert parameters["embedding_dim"].default == 50
    assert parameters["scale"].default == RatingScale(mean=0.0, std=1.0)
    assert parameters["scale"].kind is inspect.Parameter.KEYWORD_ONLY


def test_the_scale_is_in_buffers_of_full_precision_and_not_trained() -> None:
    model = CollaborativeFiltering(2, 3, scale=RatingScale(3.6, 1.1))
    assert model.scale == RatingScale(3.6, 1.1)
    assert list(dict(model.named_buffers())) == ["global_mean", "rating_std"]
    assert not {"global_mean", "rating_std"} & set(dict(model.named_parameters()))


def test_biases_start_at_zero_and_embeddings_small() -> None:
    model = CollaborativeFiltering(200, 300, generator=torch.Generator().manual_seed(0))
    assert not model.user_biases.weight.any()
    assert not model.movie_biases.weight.any()
    assert model.user_embeddings.weight.std().item() == pytest.approx(0.01, rel=0.05)


def test_the_same_seed_gives_the_same_embeddings() -> None:
    first, second = (CollaborativeFiltering(5, 5, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first.user_embeddings.weight, second.user_embeddings.weight)
    assert not torch.equal(first.user_embeddings.weight, first.movie_embeddings.weight)


def test_building_a_model_does_not_advance_torchs_global_generator() -> None:
    before = torch.get_rng_state()
    CollaborativeFiltering(5, 5, generator=torch.Generator().manual_seed(3))
    assert torch.equal(before, torch.get_rng_state())


def test_a_model_without_users_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one user"):
        CollaborativeFiltering(0, 3)


def test_the_tables_have_names_in_the_order_of_their_parameters() -> None:
    names = [name.removesuffix(".weight") for name, _ in CollaborativeFiltering(1, 1).named_parameters()]
    assert tuple(names) == CollaborativeFiltering.table_names() == tuple(CollaborativeFiltering(1, 1).weights())


def test_a_score_is_the_sum_of_its_terms() -> None:
    model = small()
    rows = model.look_up(torch.tensor([0, 1]), torch.tensor([0, 2]))
    terms = model.terms(rows)
    assert list(terms) == ["user_bias", "movie_bias", "user_embedding · movie_embedding"]
    torch.testing.assert_close(sum(terms.values()), model.combine(rows))
