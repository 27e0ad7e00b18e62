"""Which pairs of models are of one catalogue, on models that know ids, ratings and offsets alone."""

import numpy as np
import pytest
import torch

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.model import CollaborativeFiltering
from cfmodel.promotion.lineage import other_lineage
from cfmodel.recommending.rated import History
from cfmodel.recommending.recommender import Recommender

USERS, MOVIES = 300, 120


class Catalogue:
    """People and movies with tastes of their own, and the ratings that they give."""

    def __init__(self, seed: int, *, rows: int = 6000) -> None:
        rng = np.random.default_rng(seed)
        self.user_offset, self.movie_offset = rng.normal(0, 1, USERS), rng.normal(0, 1, MOVIES)
        weight = np.outer(rng.pareto(2, USERS) + 0.2, rng.pareto(2, MOVIES) + 0.2).ravel()
        # In the order in which they were given.
        self.pairs = rng.choice(USERS * MOVIES, rows, replace=False, p=weight / weight.sum())

    def model(self, pairs: np.ndarray | None = None, *, movie_ids: np.ndarray | None = None) -> Recommender:
        """Return a model of some of the ratings; `movie_ids` are other numbers for the same movies."""
        user, movie = np.divmod(self.pairs if pairs is None else pairs, MOVIES)
        names = np.arange(MOVIES) if movie_ids is None else movie_ids
        users, movies = (Vocabulary.of([str(id) for id in np.unique(ids)]) for ids in (user, names[movie]))
        learned = CollaborativeFiltering(len(users), len(movies), 2, init_std=0.0)
        noise = np.random.default_rng(len(user))
        of_id = {str(name): self.movie_offset[place] for place, name in enumerate(names)}
        with torch.no_grad():
            for table, offsets in (
                (learned.user_biases, [self.user_offset[int(id)] for id in users.ids.to_pylist()]),
                (learned.movie_biases, [of_id[id] for id in movies.ids.to_pylist()]),
            ):
                known = np.array(offsets) + noise.normal(0, 0.5, len(offsets))
                table.weight.copy_(torch.from_numpy(known).float().unsqueeze(1))
        rows = RatingArrays(
            users.encode(user.tolist()), movies.encode(names[movie].tolist()), np.ones(len(user), np.float32)
        )
        return Recommender(learned, users, movies, 1.0, 5.0, History.of([rows], [], num_users=len(users)))


@pytest.fixture(scope="module")
def films() -> Catalogue:
    return Catalogue(0)


def test_ratings_that_grew_are_of_the_champions_catalogue(films: Catalogue) -> None:
    assert other_lineage(films.model(), films.model(films.pairs[:3000])) is None


def test_a_sample_and_two_samples_are_of_one_catalogue(films: Catalogue) -> None:
    draws = [np.random.default_rng(seed).choice(films.pairs, 1500, replace=False) for seed in (1, 2)]
    assert other_lineage(films.model(draws[0]), films.model()) is None
    assert other_lineage(films.model(draws[0]), films.model(draws[1])) is None


def test_the_next_month_of_the_same_people_is_of_one_catalogue_although_no_rating_is_in_both(films: Catalogue) -> None:
    assert other_lineage(films.model(films.pairs[3000:]), films.model(films.pairs[:3000])) is None


def test_other_ids_are_of_another_catalogue(films: Catalogue) -> None:
    names = np.array([f"book-{number}" for number in range(MOVIES)])
    found = other_lineage(films.model(movie_ids=names), films.model())
    assert found == "it shares 0% of the movies with the champion (0 ids; 10% make a catalogue the same)"


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_numbers_for_other_people_and_movies_are_of_another_catalogue(films: Catalogue, seed: int) -> None:
    found = other_lineage(Catalogue(seed).model(), films.model())
    assert found is not None
    assert "of the ratings with the champion, and its user ids mean others" in found


def test_movies_that_got_other_numbers_are_noticed(films: Catalogue) -> None:
    dealt = np.random.default_rng(5).permutation(MOVIES)
    found = other_lineage(films.model(movie_ids=dealt), films.model())
    assert found is not None
    assert "its movie ids mean others" in found
    titles = {str(number): f"Film {number}" for number in range(MOVIES)}
    now = {str(dealt[number]): title for number, title in enumerate(titles.values())}
    named = other_lineage(films.model(movie_ids=dealt), films.model(), titles=(now, titles))
    assert named is not None
    assert "its ids mean other movies: 0 was 'Film 0' and is 'Film" in named


def test_where_everybody_rated_everything_what_was_learned_decides() -> None:
    whole = np.arange(USERS * MOVIES)
    assert other_lineage(Catalogue(1).model(whole), Catalogue(1).model(whole)) is None
    assert other_lineage(Catalogue(1).model(whole), Catalogue(2).model(whole)) is not None
