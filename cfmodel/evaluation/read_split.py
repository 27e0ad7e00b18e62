"""Everything an evaluation reads from a split, as rows of the model's vocabularies."""

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
    """The ratings of a split by what they are for.

    Attributes:
        test: Test ratings, N of them.
        trained: Ratings the floors are fitted on.
        seen: Parts whose movies are left out of their user's list.
        user_ids: The test users' own ids.
        movie_ids: The test movies' own ids.
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


def read_ratings(
    recommender: Recommender, split: SplitRef, *, trained_parts: Sequence[str], seen_parts: Sequence[str]
) -> EvaluationRatings:
    """Read the test part, what the model was trained on and what its users have seen.

    Raises:
        DataError: The test part is empty.
        DigestError: A part is not the one the split names.
    """
    users, movies = recommender.users, recommender.movies
    test = load_part(split, "test", users=users, movies=movies)
    if not len(test):
        raise DataError(f"{split.path}: the test part has 0 ratings; raise split.test_fraction or give more ratings")
    # The trained parts first, so that they are one piece as well: of 25 million ratings a copy is 300 MB.
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
    """Refuse test ids of the wrong kind.

    Where train and test were cut from one column and the model knows train's ids, test's are of the
    same kind, and may all be new: a temporal split has its right to that.

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
