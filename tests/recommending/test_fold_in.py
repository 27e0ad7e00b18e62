import numpy as np
import pytest
import torch

from cfmodel.column_statistics import RatingScale
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.fold_in import PRIOR_WEIGHT, FoldIn
from cfmodel.recommending.recommender import Recommender

USERS, MOVIES, DIMENSION = 400, 60, 4


@pytest.fixture
def recommender() -> Recommender:
    """Return a model whose users have a mean other than zero and a full covariance."""
    generator = torch.Generator().manual_seed(0)
    model = CollaborativeFiltering(USERS, MOVIES, DIMENSION, scale=RatingScale(3.0), init_std=0.8, generator=generator)
    with torch.no_grad():
        model.movie_biases.weight.normal_(0, 0.5, generator=generator)
        model.user_biases.weight.normal_(0.2, 0.4, generator=generator)
        model.user_embeddings.weight[:, 1] += 0.5 * model.user_embeddings.weight[:, 0] + 0.3
    ids = Vocabulary.of(range(USERS)), Vocabulary.of(range(MOVIES))
    return Recommender(model, *ids, 1.0, 5.0, val_rmse=0.1)


def ratings(rows: list[tuple[int, int, float]]) -> RatingArrays:
    user, movie, rating = (np.array(column) for column in zip(*rows, strict=True))
    return RatingArrays(user.astype(np.int32), movie.astype(np.int32), rating.astype(np.float32))


def rated_by(recommender: Recommender, bias: float, taste: np.ndarray, movies: range) -> list[float]:
    model = recommender.model
    movie_bias, vectors = model.movie_biases.weight.detach()[:, 0].numpy(), model.movie_embeddings.weight.detach()
    return [3.0 + bias + float(movie_bias[movie] + vectors[movie].numpy() @ taste) for movie in movies]


def test_the_solution_is_that_of_the_documented_equation(recommender: Recommender) -> None:
    rows = [(0, 3, 4.5), (0, 7, 2.0), (1, 3, 1.0)]
    model = recommender.model
    vectors = model.movie_embeddings.weight.detach().double().numpy()
    biases = model.movie_biases.weight.detach()[:, 0].double().numpy()
    trained = np.hstack([model.user_biases.weight.detach(), model.user_embeddings.weight.detach()]).astype(float)
    ridge = PRIOR_WEIGHT * 0.1**2 * np.linalg.inv(np.cov(trained.T, bias=True))
    users = FoldIn.of(recommender).solve(ratings(rows), 2)
    for user in (0, 1):
        mine = [(movie, rating) for owner, movie, rating in rows if owner == user]
        factors = np.array([[1, *vectors[movie]] for movie, _ in mine])
        residual = np.array([rating - 3.0 - biases[movie] for movie, rating in mine])
        expected = np.linalg.solve(factors.T @ factors + ridge, factors.T @ residual + ridge @ trained.mean(0))
        np.testing.assert_allclose(users.offset[user], expected[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(users.vectors[user], expected[1:], rtol=1e-4, atol=1e-5)


def test_a_planted_user_is_recovered_from_enough_ratings(recommender: Recommender) -> None:
    taste = np.array([0.7, -0.4, 0.9, 0.0])
    rows = list(enumerate(rated_by(recommender, 0.3, taste, range(MOVIES))))
    users = FoldIn.of(recommender).solve(ratings([(0, movie, rating) for movie, rating in rows]), 1)
    np.testing.assert_allclose(users.vectors[0], taste, atol=0.01)
    assert float(users.offset[0]) == pytest.approx(0.3, abs=0.01)


def test_a_user_without_a_known_rating_gets_the_mean_user(recommender: Recommender) -> None:
    users = FoldIn.of(recommender).solve(ratings([(1, -1, 5.0)]), 2)
    mean = recommender.model.user_embeddings.weight.detach().mean(0)
    np.testing.assert_allclose(users.vectors, mean.expand(2, -1), atol=1e-5)


def test_the_solution_depends_on_neither_other_users_nor_the_order_of_ratings(recommender: Recommender) -> None:
    rng = np.random.default_rng(0)
    pairs = [(user, int(movie)) for user in range(9) for movie in rng.permutation(60)[: user * 5]]
    rows = [(*pair, float(rng.integers(1, 6))) for pair in pairs]
    together = FoldIn.of(recommender).solve(ratings(rows), 9)
    shuffled = FoldIn.of(recommender).solve(ratings([rows[at] for at in rng.permutation(len(rows))]), 9)
    np.testing.assert_allclose(together.vectors, shuffled.vectors, atol=1e-5)
    alone = FoldIn.of(recommender).solve(ratings([(0, *row[1:]) for row in rows if row[0] == 5]), 1)
    np.testing.assert_allclose(together.vectors[5], alone.vectors[0], atol=1e-5)


def test_the_solution_does_not_depend_on_the_block_size(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    rows = [(user, int(movie), 3.5) for user in range(20) for movie in rng.permutation(60)[: 1 + user]]
    whole = FoldIn.of(recommender).solve(ratings(rows), 20)
    monkeypatch.setattr("cfmodel.recommending.fold_in._BLOCK_RATINGS", 7)
    np.testing.assert_allclose(FoldIn.of(recommender).solve(ratings(rows), 20).vectors, whole.vectors, atol=1e-6)


def test_in_a_model_of_one_user_every_new_user_resembles_that_user(recommender: Recommender) -> None:
    model = CollaborativeFiltering(1, 2, 3, init_std=1.0, generator=torch.Generator().manual_seed(0))
    single = Recommender(model, Vocabulary.of(["a"]), Vocabulary.of(["x", "y"]), 1.0, 5.0)
    users = FoldIn.of(single).solve(ratings([(0, 0, 5.0)]), 1)
    np.testing.assert_allclose(users.vectors[0], model.user_embeddings.weight.detach()[0], atol=1e-3)
