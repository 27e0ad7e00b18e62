"""Measures of ranked lists, worked by hand and by brute force."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, ndcg_score

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.evaluation.ranking import RankingTask, coverage, mean_measures, rank_measures, ranking_task
from cfmodel.recommending.top_k import Scorer

NOTHING = RatingArrays(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))


def ratings(rows: list[tuple[int, int, float]]) -> RatingArrays:
    users, movies, values = (list(column) for column in zip(*rows, strict=True))
    return RatingArrays(np.array(users, np.int32), np.array(movies, np.int32), np.array(values, np.float32))


def scorer(table: np.ndarray) -> Scorer:
    scores = torch.tensor(table, dtype=torch.float32)
    return lambda user_idx, table: table.copy_(scores[user_idx])


def task_of(
    test: RatingArrays,
    seen: RatingArrays = NOTHING,
    *,
    users: int,
    movies: int,
    limit: int | None = None,
    seed: int = 0,
) -> RankingTask:
    return ranking_task(
        test,
        [seen],
        movie_keys=np.where(test.movie_idx >= 0, test.movie_idx, movies + np.arange(len(test))),
        num_users=users,
        num_movies=movies,
        threshold=4.0,
        limit=limit,
        seed=seed,
    )


def test_a_list_of_three_has_the_measures_worked_by_hand() -> None:
    measures = mean_measures(np.array([[False, True, True]]), np.array([4]))
    dcg = 1 / math.log2(3) + 1 / math.log2(4)
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert measures == {
        "ndcg": pytest.approx(dcg / ideal),
        "recall": 0.5,
        "precision": pytest.approx(2 / 3),
        "map": pytest.approx((1 / 2 + 2 / 3) / 3),
        "mrr": 0.5,
        "hit_rate": 1.0,
    }


def test_a_list_without_a_hit_scores_zero_and_each_user_weighs_the_same() -> None:
    assert set(mean_measures(np.zeros((1, 3), bool), np.array([2])).values()) == {0.0}
    two = mean_measures(np.array([[True], [False]]), np.array([1, 9]))
    assert set(two.values()) == {0.5}


def test_a_perfect_list_scores_one_for_any_number_of_relevant_movies() -> None:
    for relevant in (1, 3, 7):
        measures = mean_measures(np.arange(3)[None] < relevant, np.array([relevant]))
        assert measures["ndcg"] == measures["map"] == measures["mrr"] == pytest.approx(1.0)


def test_coverage_counts_each_movie_once_and_ignores_empty_positions() -> None:
    assert coverage(np.array([[0, 1], [1, -1]]), 8) == 0.25


def test_measures_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    table = rng.normal(size=(20, 30))
    truth = rng.random((20, 30)) < 0.2
    truth[:, 0] = True
    rows = [(int(user), int(movie), 5.0) for user, movie in zip(*truth.nonzero(), strict=True)]
    measures = rank_measures(scorer(table), task_of(ratings(rows), users=20, movies=30), ks=(5, 30))
    table = table.astype(np.float32)
    assert measures["ndcg_at_5"] == pytest.approx(ndcg_score(truth, table, k=5))
    assert measures["ndcg_at_30"] == pytest.approx(ndcg_score(truth, table))
    # Over the whole catalogue min(k, relevant) is the number of relevant ones, as in scikit-learn.
    expected = [average_precision_score(true, scores) for true, scores in zip(truth, table, strict=True)]
    assert measures["map_at_30"] == pytest.approx(np.mean(expected))


def brute_force(
    table: np.ndarray, test: list[tuple[int, int, float]], seen: list[tuple[int, int, float]], k: int
) -> dict[str, float]:
    """Measure lists in plain Python; a movie row below 0 is a cold movie of its own."""
    values: dict[str, list[float]] = {}
    listed = set()
    left_out = {(user, movie) for user, movie, _ in seen}
    for user in sorted({user for user, _, _ in test if user >= 0}):
        relevant = {
            movie for who, movie, rating in test if who == user and rating >= 4 and (who, movie) not in left_out
        }
        if not relevant:
            continue
        candidates = [movie for movie in range(table.shape[1]) if (user, movie) not in left_out]
        best = sorted(candidates, key=lambda movie: (-table[user, movie], movie))[:k]
        listed |= set(best)
        hits = [movie in relevant for movie in best]
        reachable = min(k, len(relevant))
        dcg = sum(1 / math.log2(i + 2) for i, hit in enumerate(hits) if hit)
        for name, value in {
            "ndcg": dcg / sum(1 / math.log2(i + 2) for i in range(reachable)),
            "recall": sum(hits) / len(relevant),
            "precision": sum(hits) / k,
            "map": sum(sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit) / reachable,
            "mrr": 1 / (hits.index(True) + 1) if any(hits) else 0.0,
            "hit_rate": float(any(hits)),
        }.items():
            values.setdefault(name, []).append(value)
    means = {f"{name}_at_{k}": sum(of_users) / len(of_users) for name, of_users in values.items()}
    return means | {f"coverage_at_{k}": len(listed) / table.shape[1]}


@pytest.mark.parametrize("seed", range(10))
def test_measures_agree_with_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    users, movies, k = 6, 15, 4
    table = rng.integers(0, 6, (users, movies)).astype(float)  # with many ties
    rows = [(int(rng.integers(-1, users)), int(rng.integers(0, movies)), float(rng.integers(1, 6))) for _ in range(60)]
    rows = [
        (user, -number - 1 if number % 9 == 0 else movie, rating) for number, (user, movie, rating) in enumerate(rows)
    ]
    test, seen = rows[:35], [row for row in rows[35:] if row[1] >= 0]
    measures = rank_measures(scorer(table), task_of(ratings(test), ratings(seen), users=users, movies=movies), ks=(k,))
    assert measures == pytest.approx(brute_force(table, test, seen, k))


def test_the_order_of_the_rows_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    rows = [(int(rng.integers(0, 8)), int(rng.integers(0, 12)), float(rng.integers(3, 6))) for _ in range(50)]
    table = rng.integers(0, 4, (8, 12)).astype(float)
    forward, backward = (
        rank_measures(
            scorer(table), task_of(ratings(order), ratings(order[:10]), users=8, movies=12, limit=5), ks=(3, 5)
        )
        for order in (rows, rows[:10][::-1] + rows[10:][::-1])
    )
    assert forward == backward


def test_a_cold_relevant_movie_counts_as_missed() -> None:
    task = task_of(ratings([(0, 1, 5.0), (0, -1, 5.0)]), users=1, movies=3)
    assert task.relevant.tolist() == [2]
    assert task.relevant_cold == 1
    assert rank_measures(scorer(np.array([[0.0, 1.0, 0.0]])), task, ks=(1,))["recall_at_1"] == 0.5


def test_a_movie_rated_twice_is_relevant_once() -> None:
    assert task_of(ratings([(0, 1, 5.0), (0, 1, 4.0), (0, 1, 1.0)]), users=1, movies=3).relevant.tolist() == [1]


def test_users_without_a_relevant_movie_are_counted_but_not_measured() -> None:
    # User 0 dislikes, user 1 likes what is left out, user 2 likes; the last row's user is cold.
    test = ratings([(0, 0, 1.0), (1, 1, 5.0), (2, 2, 5.0), (-1, 0, 5.0)])
    task = task_of(test, ratings([(1, 1, 4.0), (-1, 0, 4.0)]), users=3, movies=3)
    assert task.users.tolist() == [2]
    assert task.users_without_relevant == 2


def test_without_users_there_are_no_measures() -> None:
    assert rank_measures(scorer(np.zeros((1, 2))), task_of(ratings([(0, 0, 1.0)]), users=1, movies=2), ks=(1,)) == {}


def test_the_users_measured_are_drawn_by_seed() -> None:
    test = ratings([(user, 0, 5.0) for user in range(100)])
    first, again, other = (task_of(test, users=100, movies=2, limit=10, seed=seed).users for seed in (0, 0, 1))
    assert len(first) == 10
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()
