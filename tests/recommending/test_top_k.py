import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_recommenders import ratings_of

from cfmodel.column_statistics import RatingScale
from cfmodel.errors import ConfigError
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.rated import SeenMovies
from cfmodel.recommending.top_k import CHUNK, Scorer, catalogue_scores, popularity_scores, top_k


def scorer(table: np.ndarray) -> Scorer:
    """Return a scorer that reads a table of scores; a cold user has those of row 0."""
    scores = torch.tensor(table, dtype=torch.float32)
    return lambda user_idx, table: table.copy_(scores[user_idx.clamp(min=0)])


def seen(pairs: list[tuple[int, int]], num_users: int) -> SeenMovies:
    ratings = ratings_of(pairs)
    return SeenMovies.of(ratings.user_idx, ratings.movie_idx, num_users)


def brute_force(table: np.ndarray, pairs: set[tuple[int, int]], k: int) -> list[list[int]]:
    lists = []
    for user, scores in enumerate(table):
        left = [movie for movie in range(len(scores)) if (user, movie) not in pairs]
        best = sorted(left, key=lambda movie: (-scores[movie], movie))[:k]
        lists.append(best + [-1] * (k - len(best)))
    return lists


def test_the_best_come_first() -> None:
    lists = top_k(scorer(np.array([[0.0, 3.0, 1.0, 2.0]])), np.array([0]), k=2, num_movies=4)
    assert lists.movie_idx.tolist() == [[1, 3]]
    assert lists.score.tolist() == [[3.0, 2.0]]


def test_a_seen_movie_is_never_recommended() -> None:
    lists = top_k(
        scorer(np.array([[9.0, 3.0, 1.0], [9.0, 3.0, 1.0]])),
        np.array([1, 0]),
        k=3,
        num_movies=3,
        seen=seen([(0, 0), (0, 0)], 2),
    )
    assert lists.movie_idx.tolist() == [[0, 1, 2], [1, 2, -1]]


def test_equal_scores_are_ordered_by_the_lower_movie_row() -> None:
    table = np.array([[1.0, 2.0, 2.0, 2.0, 2.0], [0.0, 0.0, 0.0, 0.0, 7.0]])
    assert top_k(scorer(table), np.array([0, 1]), k=2, num_movies=5).movie_idx.tolist() == [[1, 2], [4, 0]]


def test_a_user_who_has_seen_everything_has_an_empty_list() -> None:
    lists = top_k(scorer(np.zeros((1, 2))), np.array([0]), k=1, num_movies=2, seen=seen([(0, 0), (0, 1)], 1))
    assert lists.movie_idx.tolist() == [[-1]]


def test_a_list_longer_than_the_catalogue_ends_with_the_catalogue() -> None:
    assert top_k(scorer(np.array([[1.0, 2.0]])), np.array([0]), k=4, num_movies=2).movie_idx.tolist() == [
        [1, 0, -1, -1]
    ]


def test_a_cold_user_has_seen_nothing() -> None:
    lists = top_k(scorer(np.array([[1.0, 2.0]])), np.array([-1, 0]), k=1, num_movies=2, seen=seen([(0, 1)], 1))
    assert lists.movie_idx.tolist() == [[1], [0]]


def test_a_list_without_places_is_refused() -> None:
    with pytest.raises(ConfigError, match="k of at least 1, not k = 0"):
        top_k(scorer(np.zeros((1, 2))), np.array([0]), k=0, num_movies=2)


@given(st.data())
def test_lists_are_those_of_brute_force_with_ties_too(data: st.DataObject) -> None:
    users, movies, k = (data.draw(st.integers(1, high)) for high in (5, 12, 6))
    cells = data.draw(st.lists(st.integers(0, 3), min_size=users * movies, max_size=users * movies))
    pair = st.tuples(st.integers(0, users - 1), st.integers(0, movies - 1))
    pairs = data.draw(st.lists(pair, max_size=20))
    table = np.array(cells, float).reshape(users, movies)
    lists = top_k(scorer(table), np.arange(users), k=k, num_movies=movies, seen=seen(pairs, users))
    assert lists.movie_idx.tolist() == brute_force(table, set(pairs), k)


@given(st.data())
def test_lists_from_a_wide_catalogue_are_those_of_brute_force_with_ties_too(data: st.DataObject) -> None:
    # Wide enough for the search by chunks. Few levels make ties across chunks, and the last chunk may be short.
    k = data.draw(st.integers(1, 3))
    movies = data.draw(st.integers(4 * CHUNK * k + 1, 6 * CHUNK * k))
    seed, levels = data.draw(st.integers(0, 2**32 - 1)), data.draw(st.integers(1, 60))
    rng = np.random.default_rng(seed)
    table = rng.integers(0, levels, (3, movies)).astype(float)
    left = data.draw(st.integers(0, movies))
    pairs = [(0, int(movie)) for movie in rng.permutation(movies)[left:]]
    lists = top_k(scorer(table), np.arange(3), k=k, num_movies=movies, seen=seen(pairs, 3))
    assert lists.movie_idx.tolist() == brute_force(table, set(pairs), k)


def test_a_place_without_a_movie_has_no_score() -> None:
    lists = top_k(scorer(np.array([[1.0, 2.0]])), np.array([0]), k=3, num_movies=2, seen=seen([(0, 1)], 1))
    assert lists.movie_idx.tolist() == [[0, -1, -1]]
    assert lists.score.tolist() == [[1.0, -np.inf, -np.inf]]


def test_a_list_depends_on_neither_the_blocks_nor_the_order_of_users() -> None:
    table = np.random.default_rng(0).integers(0, 5, (7, 30)).astype(float)
    whole = top_k(scorer(table), np.arange(7), k=4, num_movies=30).movie_idx
    done: list[int] = []
    order = np.array([6, 2, 0, 5, 1, 3, 4])
    two_users = 2 * 4 * 30
    lists = top_k(scorer(table), order, k=4, num_movies=30, block_bytes=two_users, on_block=done.append)
    assert (lists.movie_idx == whole[order]).all()
    assert done == [2, 4, 6, 7]


def test_the_model_ranks_movies_by_its_predictions() -> None:
    model = CollaborativeFiltering(
        3, 40, 4, init_std=1.0, scale=RatingScale(3.0), generator=torch.Generator().manual_seed(1)
    )
    with torch.no_grad():
        model.movie_biases.weight.normal_(generator=torch.Generator().manual_seed(2))
    lists = top_k(catalogue_scores(model), np.array([0, 2]), k=5, num_movies=40)
    for user, movies in zip((0, 2), lists.movie_idx, strict=True):
        scores = model.score(torch.full((40,), user), torch.arange(40))
        assert movies.tolist() == scores.argsort(descending=True)[:5].tolist()


def test_a_cold_users_movies_are_ranked_by_their_biases() -> None:
    model = CollaborativeFiltering(1, 4, 2, init_std=1.0, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.movie_biases.weight[:, 0] = torch.tensor([0.1, 0.4, 0.2, 0.3])
    assert top_k(catalogue_scores(model), np.array([-1]), k=4, num_movies=4).movie_idx.tolist() == [[1, 3, 2, 0]]


def test_popularity_ranks_the_same_for_every_user_and_the_lower_row_first_among_equal_counts() -> None:
    lists = top_k(popularity_scores(np.array([3, 7, 3, 9])), np.array([0, 5]), k=4, num_movies=4)
    assert lists.movie_idx.tolist() == [[3, 1, 0, 2]] * 2
