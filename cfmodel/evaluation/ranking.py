"""Measures of ranked lists over the whole catalogue; `card.py` explains their rules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.recommending.rated import SeenMovies
from cfmodel.recommending.top_k import Scorer, top_k

#: Measures that are means over users, in the order in which they are logged, before coverage.
_MEASURES = ("ndcg", "recall", "precision", "map", "mrr", "hit_rate")


@dataclass(frozen=True, eq=False)
class RankingTask:
    """The users to make lists for, and their relevant movies.

    Attributes:
        users: Rows of the users to measure, rising, int64, shape (V,).
        seen: Movies excluded from each user's list.
        relevant: Number of relevant test movies of each user, at least 1, int64, shape (V,).
        keys: `position in users * width + movie` of every relevant pair, rising, int64.
        width: Range of the movies' numbers, cold movies included.
        num_movies: Movies in the catalogue, M.
        threshold: Lowest rating that is relevant, in rating units.
        relevant_cold: Relevant pairs whose movie is cold: never found, but counted in `relevant`.
        eligible_users: Warm test users with a rating at or above the threshold, from whom `limit` users are drawn.
        users_without_relevant: Warm test users without such a rating, or whose relevant movies are all seen.
    """

    users: npt.NDArray[np.int64]
    seen: SeenMovies
    relevant: npt.NDArray[np.int64]
    keys: npt.NDArray[np.int64]
    width: int
    num_movies: int
    threshold: float
    relevant_cold: int
    eligible_users: int
    users_without_relevant: int

    def hits(self, lists: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return which entries of the users' lists are relevant, both of shape (V, k)."""
        keys = np.arange(len(lists))[:, None] * self.width + lists
        return _contains(self.keys, keys) & (lists >= 0)


def ranking_task(
    test: RatingArrays,
    seen: Sequence[RatingArrays],
    *,
    movie_keys: npt.NDArray[np.int64],
    num_users: int,
    num_movies: int,
    threshold: float,
    limit: int | None,
    seed: int,
) -> RankingTask:
    """Find the users to measure and their relevant movies; the order of the rows does not matter.

    Args:
        test: Test ratings, N of them.
        seen: Parts whose movies are excluded from their users' lists.
        movie_keys: Number of each test row's movie: its row, or from M on if it is cold, shape (N,).
        num_users: Users, U.
        num_movies: Movies in the catalogue, M.
        threshold: Lowest rating that is relevant, in rating units.
        limit: Most users to measure; None measures all.
        seed: Seed for drawing users if there are more.
    """
    width = max(num_movies, int(movie_keys.max(initial=-1)) + 1)
    warm = test.user_idx >= 0
    asked = warm & (test.rating >= threshold)
    pairs = np.unique(test.user_idx[asked].astype(np.int64) * width + movie_keys[asked])
    eligible = np.unique(pairs // width)
    # Draw users before their seen movies are collected: those are a few of many million ratings.
    drawn = _draw(eligible, limit, seed)
    known = _seen_by(drawn, seen, num_users)
    pairs = pairs[_contains(drawn, pairs // width)]
    pairs = pairs[~np.isin(pairs, _seen_pairs(drawn, known, width))]
    users, position = np.unique(pairs // width, return_inverse=True)
    return RankingTask(
        users=users,
        seen=known,
        relevant=np.bincount(position, minlength=len(users)),
        keys=position * width + pairs % width,
        width=width,
        num_movies=num_movies,
        threshold=threshold,
        relevant_cold=int((pairs % width >= num_movies).sum()),
        eligible_users=len(eligible),
        users_without_relevant=len(np.unique(test.user_idx[warm])) - len(eligible) + len(drawn) - len(users),
    )


def rank_measures(
    scores: Scorer,
    task: RankingTask,
    *,
    ks: Sequence[int],
    device: torch.device | str = "cpu",
    on_block: Callable[[int], None] | None = None,
) -> dict[str, float]:
    """Return every measure at every k, by names such as `ndcg_at_10`; nothing if there are no users."""
    if not len(task.users):
        return {}
    lists = top_k(
        scores, task.users, k=max(ks), num_movies=task.num_movies, seen=task.seen, device=device, on_block=on_block
    ).movie_idx
    hits = task.hits(lists)
    measures: dict[str, float] = {}
    for k in sorted(set(ks)):
        at_k = {**mean_measures(hits[:, :k], task.relevant), "coverage": coverage(lists[:, :k], task.num_movies)}
        measures |= {f"{name}_at_{k}": value for name, value in at_k.items()}
    return measures


def mean_measures(hits: npt.NDArray[np.bool_], relevant: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return the measures of lists of length k, as means over users.

        ndcg = sum(hit_i / log2(i + 1)) / sum(1 / log2(i + 1) for i up to min(k, relevant))
        recall = hits / relevant, precision = hits / k
        map = sum(hit_i * precision_at_i) / min(k, relevant)
        mrr = 1 / position of the first hit, 0 without one
        hit_rate = 1 with a hit, 0 without

    Args:
        hits: Whether the entry at each position is relevant, from the top, shape (V, k).
        relevant: Number of relevant movies of each user, at least 1, shape (V,).

    Source: Järvelin & Kekäläinen, "Cumulated gain-based evaluation of IR techniques" (2002), for nDCG
    with binary gains; Manning, Raghavan & Schütze, "Introduction to Information Retrieval" (2008), chapter 8.
    """
    k = hits.shape[1]
    positions = np.arange(1, k + 1)
    discounts = 1 / np.log2(positions + 1)
    reachable = np.minimum(relevant, k)
    found = hits.sum(axis=1)
    precision_at = hits.cumsum(axis=1) / positions
    per_user = (
        (hits * discounts).sum(axis=1) / discounts.cumsum()[reachable - 1],
        found / relevant,
        found / k,
        (hits * precision_at).sum(axis=1) / reachable,
        (found > 0) / (hits.argmax(axis=1) + 1),
        found > 0,
    )
    return {name: float(np.mean(values)) for name, values in zip(_MEASURES, per_user, strict=True)}


def coverage(lists: npt.NDArray[np.int64], num_movies: int) -> float:
    """Return the share of the catalogue that is in at least one list."""
    return len(np.unique(lists[lists >= 0])) / num_movies


def _seen_by(users: npt.NDArray[np.int64], parts: Sequence[RatingArrays], num_users: int) -> SeenMovies:
    is_asked = np.zeros(num_users + 1, bool)  # the last entry is for cold users, row -1
    is_asked[users] = True
    none = np.empty(0, np.int32)
    user_idx = np.concatenate([none, *(part.user_idx[is_asked[part.user_idx]] for part in parts)])
    movie_idx = np.concatenate([none, *(part.movie_idx[is_asked[part.user_idx]] for part in parts)])
    return SeenMovies.of(user_idx, movie_idx, num_users)


def _seen_pairs(users: npt.NDArray[np.int64], seen: SeenMovies, width: int) -> npt.NDArray[np.int64]:
    positions, movies = seen.cells(users)
    return users[positions] * width + movies


def _draw(users: npt.NDArray[np.int64], limit: int | None, seed: int) -> npt.NDArray[np.int64]:
    if limit is None or len(users) <= limit:
        return users
    return np.sort(np.random.default_rng(seed).choice(users, limit, replace=False))


def _contains(rising: npt.NDArray[np.int64], values: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which values are among rising ones, by binary search."""
    if not len(rising):
        return np.zeros(values.shape, bool)
    found: npt.NDArray[np.bool_] = rising[np.minimum(np.searchsorted(rising, values), len(rising) - 1)] == values
    return found
