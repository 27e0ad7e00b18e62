"""Lists of suggestions: unseen movies for known, unknown and new users, and similar movies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import DataError
from cfmodel.recommending.fold_in import FoldIn
from cfmodel.recommending.rated import SeenMovies
from cfmodel.recommending.recommender import Recommender
from cfmodel.recommending.top_k import BLOCK_BYTES, Lists, catalogue_scores, top_k

#: Training ratings at which a movie's similarity counts half.
_EVIDENCE = 10


@dataclass(frozen=True)
class Suggestion:
    """One movie of a list.

    Attributes:
        rank: Place in the list, from 1.
        score: Predicted rating, in rating units, not clamped; for similar movies their similarity.
    """

    rank: int
    movie_id: str
    score: float


def suggest(
    recommender: Recommender, user_idx: npt.NDArray[np.integer[Any]], *, k: int, block_bytes: int = BLOCK_BYTES
) -> Lists:
    """Return the best unseen movies of the model's users, with predicted ratings in rating units, not clamped.

    Args:
        user_idx: Rows of the users, shape (N,). Unknown users are negative and get the movies with the highest offsets.
        block_bytes: Memory for the scores of a block of users.
    """
    model = recommender.model
    users = model.side_rows("user")
    lists = top_k(
        catalogue_scores(model, users.vectors),
        user_idx,
        k=k,
        num_movies=len(recommender.movies),
        seen=None if recommender.history is None else recommender.history.seen,
        device=model.global_mean.device,
        block_bytes=block_bytes,
    )
    offsets = np.where(user_idx >= 0, users.offset.cpu().numpy()[np.maximum(user_idx, 0)], 0.0)
    return _in_rating_units(lists, recommender, offsets)


def suggest_to_new(
    recommender: Recommender, ratings: RatingArrays, num_users: int, *, k: int, fold_in: FoldIn | None = None
) -> Lists:
    """Return the best unrated movies for users the model was not trained on, with predicted ratings.

    Args:
        ratings: Their ratings; `user_idx` numbers them in [0, num_users).
        fold_in: `FoldIn.of(recommender)`, if the caller has it.
    """
    users = (fold_in or FoldIn.of(recommender)).solve(ratings, num_users)
    lists = top_k(
        catalogue_scores(recommender.model, users.vectors),
        np.arange(num_users),
        k=k,
        num_movies=len(recommender.movies),
        seen=SeenMovies.of(ratings.user_idx, ratings.movie_idx, num_users),
        device=recommender.model.global_mean.device,
    )
    return _in_rating_units(lists, recommender, users.offset.cpu().numpy())


def require_on_scale(recommender: Recommender, movie: str, rating: float, *, where: str = "") -> None:
    """Refuse a rating outside the range that the model learned from: it would pull the user far off.

    Raises:
        DataError: It is not finite, or outside that range.
    """
    low, high = recommender.rating_min, recommender.rating_max
    slack = 1e-6 * max(abs(low), abs(high))  # the range is that of numbers in float32
    if not low - slack <= rating <= high + slack:
        raise DataError(
            f"{where}rating {rating:g} of movie {movie} is not within {low:g} to {high:g}, the ratings that the model "
            "learned from; give one that is"
        )


def ratings_by_id(recommender: Recommender, given: Mapping[str, float]) -> RatingArrays:
    """Return one new user's ratings as arrays.

    Raises:
        DataError: The model knows none of the movies, or a rating is outside the range it learned from.
    """
    for movie, rating in given.items():
        require_on_scale(recommender, movie, rating)
    movie_idx = recommender.movies.encode(list(given))
    if not (movie_idx >= 0).any():
        known = ", ".join(repr(id) for id in recommender.movies.ids.slice(0, 3).to_pylist())
        raise DataError(
            f"none of the {len(given):,} rated movies is known to the model, whose ids look like {known}; "
            "give ratings of movies it was trained on"
        )
    return RatingArrays(np.zeros(len(given), np.int32), movie_idx, np.array(list(given.values()), np.float64))


def similar_movies(recommender: Recommender, movie_idx: int, *, k: int) -> Lists:
    """Return the movies with the most similar vectors, most similar first.

        similarity = cos(q_i - mean q, q_j - mean q) * n_j / (n_j + 10)

    with n_j the training ratings of movie j. The last factor lowers movies with few ratings: their vectors
    are mostly noise, and among many thousands some are close to any other by chance.
    """
    vectors = recommender.model.side_rows("movie").vectors
    vectors = torch.nn.functional.normalize(vectors - vectors.mean(dim=0), dim=1)
    similarity = vectors @ vectors[movie_idx] * _evidence(recommender).to(vectors)
    similarity[movie_idx] = -torch.inf

    def scores(user_idx: torch.Tensor, table: torch.Tensor) -> None:  # noqa: ARG001 - there is one list
        table.copy_(similarity)

    return top_k(scores, np.zeros(1, np.int64), k=k, num_movies=len(similarity), device=similarity.device)


def list_suggestions(lists: Lists, recommender: Recommender, row: int = 0) -> list[Suggestion]:
    """Return one row of the lists with movie ids."""
    movies, scores = lists.movie_idx[row], lists.score[row]
    there = movies >= 0
    ids = recommender.movies.decode(movies[there])
    return [
        Suggestion(rank, id, float(score)) for rank, (id, score) in enumerate(zip(ids, scores[there], strict=True), 1)
    ]


def _evidence(recommender: Recommender) -> torch.Tensor:
    if recommender.history is None:
        return torch.ones(len(recommender.movies))
    counts = np.bincount(recommender.history.trained.movie_idx, minlength=len(recommender.movies))
    return torch.from_numpy(counts / (counts + _EVIDENCE))


def _in_rating_units(lists: Lists, recommender: Recommender, user_offsets: npt.NDArray[np.floating[Any]]) -> Lists:
    scale = recommender.model.scale
    scores = lists.score.astype(np.float64) + user_offsets[:, None].astype(np.float64)
    return Lists(lists.movie_idx, scale.mean + scale.std * scores)
