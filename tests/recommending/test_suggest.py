import numpy as np
import pytest
import torch
from small_recommenders import ratings_of

from cfmodel.column_statistics import RatingScale
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.errors import DataError
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.rated import History
from cfmodel.recommending.recommender import Recommender
from cfmodel.recommending.suggest import list_suggestions, ratings_by_id, similar_movies, suggest, suggest_to_new


@pytest.fixture
def recommender() -> Recommender:
    generator = torch.Generator().manual_seed(0)
    model = CollaborativeFiltering(3, 8, 4, scale=RatingScale(3.0), init_std=0.6, generator=generator)
    with torch.no_grad():
        model.movie_biases.weight.normal_(0, 0.5, generator=generator)
        model.user_biases.weight.normal_(0, 0.5, generator=generator)
    history = History.of([ratings_of([(0, 0), (0, 1), (1, 2)])], [ratings_of([(0, 3)])], num_users=3)
    movies = Vocabulary.of([f"m{number}" for number in range(8)])
    return Recommender(model, Vocabulary.of(["a", "b", "c"]), movies, 1.0, 5.0, history, val_rmse=0.5)


def test_a_list_has_predicted_ratings_and_no_seen_movie_not_even_a_held_out_one(recommender: Recommender) -> None:
    lists = suggest(recommender, np.array([0]), k=8)
    assert sorted(lists.movie_idx[0]) == [-1, -1, -1, 2, 4, 5, 6, 7]
    there = lists.movie_idx[0] >= 0
    movies = torch.from_numpy(lists.movie_idx[0][there])
    expected = recommender.model(torch.zeros_like(movies), movies).detach()
    np.testing.assert_allclose(lists.score[0][there], expected, rtol=1e-5)
    assert (np.diff(lists.score[0][there]) <= 0).all()


def test_an_unknown_user_gets_the_movies_with_the_highest_biases(recommender: Recommender) -> None:
    lists = suggest(recommender, np.array([-1]), k=3)
    biases = recommender.model.movie_biases.weight.detach()[:, 0].numpy()
    assert lists.movie_idx[0].tolist() == np.argsort(-biases)[:3].tolist()
    np.testing.assert_allclose(lists.score[0], 3.0 + np.sort(biases)[::-1][:3], rtol=1e-5)


def test_a_new_users_list_depends_on_the_ratings_and_has_none_of_the_rated_movies(recommender: Recommender) -> None:
    given = ratings_by_id(recommender, {"m1": 5.0, "m4": 1.0, "unheard-of": 3.0})
    lists = suggest_to_new(recommender, given, 1, k=8)
    assert {1, 4}.isdisjoint(lists.movie_idx[0])
    other = suggest_to_new(recommender, ratings_by_id(recommender, {"m1": 1.0, "m4": 5.0}), 1, k=8)
    assert lists.movie_idx[0].tolist() != other.movie_idx[0].tolist()


def test_ratings_of_unknown_movies_alone_are_refused(recommender: Recommender) -> None:
    with pytest.raises(DataError, match="none of the 1 rated movies is known"):
        ratings_by_id(recommender, {"unheard-of": 3.0})


def test_similarity_is_the_centred_cosine_and_a_movie_is_not_in_its_own_list(recommender: Recommender) -> None:
    with torch.no_grad():
        recommender.model.movie_embeddings.weight[5] = 1.3 * recommender.model.movie_embeddings.weight[2]
    plain = Recommender(recommender.model, recommender.users, recommender.movies, 1.0, 5.0)
    found = list_suggestions(similar_movies(plain, 2, k=8), plain)
    assert found[0].movie_id == "m5"
    assert "m2" not in {each.movie_id for each in found}
    assert [each.rank for each in found] == list(range(1, 8))
    vectors = plain.model.movie_embeddings.weight.detach().double().numpy()
    vectors = vectors - vectors.mean(0)
    expected = vectors[5] @ vectors[2] / np.linalg.norm(vectors[5]) / np.linalg.norm(vectors[2])
    assert found[0].score == pytest.approx(expected, abs=1e-5)


def test_a_movie_without_training_ratings_has_similarity_zero(recommender: Recommender) -> None:
    lists = similar_movies(recommender, 0, k=7)
    rated = {1, 2}  # beside the movie itself; 3 was held out
    scores = dict(zip(lists.movie_idx[0].tolist(), lists.score[0].tolist(), strict=True))
    assert all(scores[movie] == 0 for movie in scores if movie not in rated)
    assert all(scores[movie] != 0 for movie in rated)
