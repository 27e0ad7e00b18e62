"""Users folded in after training."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from cfmodel.column_statistics import RatingScale
from cfmodel.config import EvaluationSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.evaluation.evaluate import evaluate
from cfmodel.evaluation.identifiers import ColumnIds
from cfmodel.evaluation.new_users import folded_in_metrics, new_user_metrics
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef

USERS, MOVIES, NOISE = 300, 120, 0.2


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    """Return a model that knows its movies, and its users, as they truly are."""
    generator = torch.Generator().manual_seed(0)
    model = CollaborativeFiltering(USERS, MOVIES, 3, scale=RatingScale(3.0), init_std=0.5, generator=generator)
    with torch.no_grad():
        model.movie_biases.weight.normal_(0, 0.4, generator=generator)
        model.user_biases.weight.normal_(0, 0.4, generator=generator)
    ids = Vocabulary.of(range(USERS)), Vocabulary.of(range(MOVIES))
    return Recommender(model, *ids, -10.0, 10.0, val_rmse=NOISE)


def rated(recommender: Recommender, users: range, *, each: int, cold: bool, seed: int) -> RatingArrays:
    """Ratings by users of the model's kind; cold ones are of its kind and unknown to it."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.array(users, np.int32), each)
    movie = np.concatenate([rng.permutation(MOVIES)[:each] for _ in users]).astype(np.int32)
    rating = recommender.predict_rows(user, movie) + rng.normal(0, NOISE, len(user)).astype(np.float32)
    return RatingArrays(np.full_like(user, -1) if cold else user, movie, rating, np.arange(len(user)))


def ids_of(codes: np.ndarray) -> ColumnIds:
    return ColumnIds("user_id", None, codes.astype(np.int32), np.full(int(codes.max()) + 1, -1, np.int32))


def test_cold_users_are_folded_in_from_their_older_half(recommender: Recommender) -> None:
    test = rated(recommender, range(50), each=60, cold=True, seed=1)
    metrics = new_user_metrics(recommender, test, ids_of(np.repeat(np.arange(50), 60)), limit=None, seed=0)
    assert metrics["test/new_users"] == 50
    assert metrics["test/rows_new_user"] == 50 * 30
    assert metrics["test/rmse_new_user"] < 1.2 * NOISE  # 30 ratings tell a taste of three numbers nearly exactly
    assert metrics["test/rmse_new_user_unfolded"] > 2.5 * NOISE


def test_only_the_older_half_is_used(recommender: Recommender) -> None:
    test = rated(recommender, range(20), each=10, cold=True, seed=2)
    ids = ids_of(np.repeat(np.arange(20), 10))
    shuffle = np.random.default_rng(0).permutation(len(test))
    mixed = RatingArrays(*(each[shuffle] for each in (test.user_idx, test.movie_idx, test.rating, test.timestamp)))
    plain = new_user_metrics(recommender, test, ids, limit=None, seed=0)
    assert new_user_metrics(recommender, mixed, ids_of(ids.codes[shuffle]), limit=None, seed=0) == pytest.approx(plain)
    newer = np.arange(len(test)) % 10 >= 5
    other = RatingArrays(test.user_idx, test.movie_idx, np.where(newer, test.rating + 1, test.rating), test.timestamp)
    shifted = new_user_metrics(recommender, other, ids, limit=None, seed=0)
    # Each of the ratings asked for is one higher, and what is predicted for them has not moved.
    assert shifted["test/rmse_new_user"] == pytest.approx(np.sqrt(1 + plain["test/rmse_new_user"] ** 2), rel=0.2)


def test_a_user_with_one_rating_is_left_out(recommender: Recommender) -> None:
    test = rated(recommender, range(3), each=1, cold=True, seed=3)
    metrics = new_user_metrics(recommender, test, ids_of(np.arange(3)), limit=None, seed=0)
    assert metrics == {"test/new_users": 0.0, "test/rows_new_user": 0.0}


def test_one_of_three_ratings_is_used_to_fold_in(recommender: Recommender) -> None:
    test = rated(recommender, range(4), each=3, cold=True, seed=4)
    metrics = new_user_metrics(recommender, test, ids_of(np.repeat(np.arange(4), 3)), limit=None, seed=0)
    assert metrics["test/rows_new_user"] == 4 * 2


def test_a_limit_draws_whole_users(recommender: Recommender) -> None:
    test = rated(recommender, range(30), each=4, cold=True, seed=5)
    metrics = new_user_metrics(recommender, test, ids_of(np.repeat(np.arange(30), 4)), limit=7, seed=0)
    assert (metrics["test/new_users"], metrics["test/rows_new_user"]) == (7, 14)
    warm = rated(recommender, range(30), each=4, cold=False, seed=5)
    assert folded_in_metrics(recommender, warm, warm, limit=7, seed=0)["test/rows_folded_in"] == 28


def test_a_folded_in_warm_user_is_predicted_nearly_as_well_as_a_learned_one(recommender: Recommender) -> None:
    trained = rated(recommender, range(USERS), each=60, cold=False, seed=6)
    test = rated(recommender, range(100), each=5, cold=False, seed=7)
    metrics = folded_in_metrics(recommender, test, trained, limit=None, seed=0)
    assert metrics["test/rows_folded_in"] == 500
    assert metrics["test/rmse_folded_in_learned"] == pytest.approx(NOISE, rel=0.1)
    assert metrics["test/rmse_folded_in"] == pytest.approx(NOISE, rel=0.1)


def test_an_evaluation_reports_new_users_as_a_separate_slice(
    make_split: Callable[..., SplitRef], make_recommender: Callable[..., Recommender]
) -> None:
    train = [(user, movie, 3.0) for user in "ab" for movie in "xyz"]
    test = [("new", movie, 5.0) for movie in "xyz"] + [("a", "x", 3.0)]
    split = make_split(train, [], test)
    recommender = make_recommender({"a": -1.0, "b": 1.0}, dict.fromkeys("xyz", 0.0))
    found = evaluate(recommender, split, EvaluationSettings())
    assert found.metrics["test/new_users"] == 1
    assert found.metrics["test/rows_new_user"] == 2
    assert found.metrics["test/rmse_new_user"] < found.metrics["test/rmse_new_user_unfolded"] == 2.0
    assert found.metrics["test/rows_folded_in"] == 1
    assert "`new_user`: cold users folded in" in found.metric_card
