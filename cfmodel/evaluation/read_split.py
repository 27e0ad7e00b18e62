"""Ratings and ids that an evaluation reads from a split, as rows of the model's vocabularies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cfmodel.data.splitting.parts import RatingArrays, load_part, load_together
from cfmodel.errors import DataError
from cfmodel.evaluation.identifiers import ColumnIds, check_kind, read_ids
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef


@dataclass(frozen=True, eq=False)
class EvaluationRatings:
    """The ratings of a split by their use.

    Attributes:
        test: Test ratings, N of them.
        trained: Ratings on which the baselines are fitted.
        seen: Parts whose movies are excluded from their users' lists.
        user_ids: The ids of the test users.
        movie_ids: The ids of the test movies.
        trained_parts: Names of the parts in `trained`.
        seen_parts: Names of the parts in `seen`.
    """

    test: RatingArrays
    trained: RatingArrays
    seen: list[RatingArrays]
    user_ids: ColumnIds
    movie_ids: ColumnIds
    trained_parts: Sequence[str]
    seen_parts: Sequence[str]


def read_evaluation_ratings(
    recommender: Recommender, split: SplitRef, *, trained_parts: Sequence[str], seen_parts: Sequence[str]
) -> EvaluationRatings:
    """Read the test part, the parts the model was trained on, and the parts with the users' seen movies.

    Raises:
        DataError: The test part is empty.
        DigestError: A part differs from the split's digest.
    """
    users, movies = recommender.users, recommender.movies
    test = load_part(split, "test", users=users, movies=movies)
    if not len(test):
        raise DataError(f"{split.path}: the test part has 0 ratings; raise split.test_fraction or provide more ratings")
    # The trained parts come first, so that they are one slice: a copy of 25 million ratings takes 300 MB.
    names = tuple(dict.fromkeys((*trained_parts, *seen_parts)))
    together, parts = load_together(split, names, users=users, movies=movies)
    user_ids, movie_ids = read_ids(split, users=users, movies=movies)
    return EvaluationRatings(
        test=test,
        trained=together[: sum(len(parts[name]) for name in trained_parts)],
        seen=[parts[name] for name in seen_parts],
        user_ids=user_ids,
        movie_ids=movie_ids,
        trained_parts=trained_parts,
        seen_parts=seen_parts,
    )


def check_ids(
    recommender: Recommender, split: SplitRef, ratings: EvaluationRatings, *, max_unknown_fraction: float
) -> None:
    """Raise if the test ids are of another kind than the model's.

    If train and test come from the same column and the model knows the ids of train, those of test are
    of the same kind; they may all be new, as in a temporal split.

    Raises:
        DataError: The share of unknown ids in a column is `max_unknown_fraction` or more.
    """
    sides = (
        (ratings.user_ids, recommender.users, ratings.trained.user_idx),
        (ratings.movie_ids, recommender.movies, ratings.trained.movie_idx),
    )
    for ids, vocabulary, trained_idx in sides:
        knows_train = np.mean(trained_idx < 0) < max_unknown_fraction
        if split.strategy == "predefined" or not knows_train:
            check_kind(ids, vocabulary, max_unknown_fraction=max_unknown_fraction, split=split)
