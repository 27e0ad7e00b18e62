"""The prior: biases in closed form, and the pull of each row to zero."""

from typing import Any

import numpy as np
import pytest

from cfmodel.baselines import fit_damped_biases
from cfmodel.column_statistics import RatingScale
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.row_counts import RowCounts
from cfmodel.training.planning.prior import BiasEstimate, Penalty, estimate_biases

USERS, MOVIES = 400, 150
TRUE = {"user": 0.5, "movie": 0.3, "noise": 0.8}


def drawn(count: int, *, seed: int = 0) -> tuple[RatingArrays, dict[str, np.ndarray]]:
    """Ratings that are level 0.2, a user's bias, a movie's bias and noise, of known spreads."""
    rng = np.random.default_rng(seed)
    biases = {"user": TRUE["user"] * rng.normal(size=USERS), "movie": TRUE["movie"] * rng.normal(size=MOVIES)}
    user, movie = (rng.integers(0, rows, count).astype(np.int32) for rows in (USERS, MOVIES))
    rating = 0.2 + biases["user"][user] + biases["movie"][movie] + TRUE["noise"] * rng.normal(size=count)
    return RatingArrays(user, movie, rating.astype(np.float32)), biases


def estimated(ratings: RatingArrays, users: int = USERS, movies: int = MOVIES) -> BiasEstimate:
    return estimate_biases(ratings, RowCounts.of(ratings, num_users=users, num_movies=movies))


def test_spreads_that_were_planted_are_found() -> None:
    found = estimated(drawn(30_000)[0])
    for side in ("user", "movie"):
        assert found.pull[side] == pytest.approx(TRUE["noise"] ** 2 / TRUE[side] ** 2, rel=0.3)
    assert found.level == pytest.approx(0.2, abs=0.1)


@pytest.mark.parametrize("count", [1_500, 30_000])
def test_they_are_nearer_to_the_truth_than_damped_biases(count: int) -> None:
    ratings, true = drawn(count)
    found = estimated(ratings)
    damped = fit_damped_biases(ratings, USERS, MOVIES, damping_user=5, damping_movie=5)

    def error(level: float, user: np.ndarray, movie: np.ndarray) -> float:
        cells = level + user[:, None] + movie - (0.2 + true["user"][:, None] + true["movie"])
        return float(np.sqrt(np.mean(cells**2)))

    mine = error(found.level, found.biases["user"], found.biases["movie"])
    assert mine < error(damped.global_mean, damped.user_biases, damped.movie_biases)


def test_a_bias_is_the_mean_of_its_residuals_pulled_to_zero() -> None:
    ratings, _ = drawn(30_000)
    found, counts = estimated(ratings), RowCounts.of(ratings, num_users=USERS, num_movies=MOVIES)
    residuals = ratings.rating - found.level - found.biases["movie"][ratings.movie_idx]
    sums = np.bincount(ratings.user_idx, residuals, USERS)
    assert found.biases["user"] == pytest.approx(sums / (counts.user + found.pull["user"]), abs=0.01)


def test_a_row_without_a_rating_has_no_bias() -> None:
    found = estimated(drawn(3_000)[0], users=USERS + 3)
    assert found.biases["user"][USERS:].tolist() == [0.0, 0.0, 0.0]


def test_equal_ratings_have_no_biases_and_a_finite_pull() -> None:
    rows = np.arange(20, dtype=np.int32)
    found = estimated(RatingArrays(rows, rows[::-1].copy(), np.zeros(20, np.float32)), 20, 20)
    assert not np.any(found.biases["user"])
    assert all(0 < pull < np.inf for pull in found.pull.values())


def test_a_rating_that_is_not_a_number_is_left_out() -> None:
    ratings, _ = drawn(3_000)
    ratings.rating[7] = np.nan
    whole = np.delete(np.arange(len(ratings)), 7)
    assert estimated(ratings).biases["user"].tolist() == estimated(ratings[whole]).biases["user"].tolist()


def test_without_a_finite_rating_there_are_no_biases() -> None:
    rows = np.zeros(3, np.int32)
    found = estimated(RatingArrays(rows, rows, np.full(3, np.nan, np.float32)), 1, 1)
    assert (found.level, found.biases["user"].tolist(), found.biases["movie"].tolist()) == (0.0, [0.0], [0.0])
    assert all(0 < pull < np.inf for pull in found.pull.values())


def test_a_shift_of_the_ratings_moves_the_level_alone() -> None:
    ratings, _ = drawn(3_000)
    first, moved = estimated(ratings), estimated(ratings.standardized(RatingScale(-1.0)))
    assert moved.level == pytest.approx(first.level + 1, abs=1e-4)
    assert moved.biases["movie"] == pytest.approx(first.biases["movie"], abs=1e-4)


def test_weights_over_all_ratings_of_a_row_add_up_to_its_pull() -> None:
    counts = RowCounts(np.array([4, 0, 25]), np.array([9, 20]))
    penalty = Penalty(0.85, {"user": 5.0, "movie": 3.0})
    weights = penalty.weights(CollaborativeFiltering, counts)
    assert (counts.user * weights["user_embeddings"]).tolist() == pytest.approx([0.85 * 2, 0, 0.85 * 5])
    assert (counts.user * weights["user_biases"]).tolist() == pytest.approx([5, 0, 5])
    assert (counts.movie * weights["movie_biases"]).tolist() == pytest.approx([3, 3])


def test_the_penalty_of_earlier_versions_is_the_same_for_every_rating() -> None:
    counts = RowCounts(np.array([4, 25]), np.array([29]))
    weights = Penalty(0.1, {}, is_constant=True).weights(CollaborativeFiltering, counts)
    assert weights["user_embeddings"].tolist() == pytest.approx([0.1, 0.1])
    assert weights["user_biases"].tolist() == [0.0, 0.0]


def test_a_stronger_penalty_keeps_embeddings_smaller(fitted: Any) -> None:
    weak, strong = (fitted(regularization=weight, epochs=5, val=False) for weight in (0.1, 2.0))
    for table in ("user_embeddings", "movie_embeddings"):
        sizes = [float(result.model.get_submodule(table).weight.detach().norm()) for result in (weak, strong)]
        assert sizes[1] < 0.7 * sizes[0]
