"""Errors for users who are folded in after training, from some of their ratings."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.evaluation.accuracy import Accuracy
from cfmodel.evaluation.identifiers import ColumnIds
from cfmodel.model import SideRows
from cfmodel.recommending.fold_in import FoldIn
from cfmodel.recommending.recommender import Recommender

_Indices = npt.NDArray[np.int64]
_Users = npt.NDArray[np.int32] | _Indices


def new_user_metrics(
    recommender: Recommender, test: RatingArrays, user_ids: ColumnIds, *, limit: int | None, seed: int
) -> dict[str, float]:
    """Fold in the cold users of the test part from one half of their ratings, and predict the other half.

    The first half is the older one if there are timestamps, or else drawn by seed; of an odd number of
    ratings, the middle one is predicted. A user with one rating is left out.

    Args:
        limit: Most users to evaluate; None evaluates all.
        seed: Seed for drawing users if there are more, and halves if there are no timestamps.

    Returns:
        `test/new_users` and `test/rows_new_user`, and if there are rows `test/rmse_new_user`,
        `test/mae_new_user` and, for the same rows without folding in, `test/rmse_new_user_unfolded`.
    """
    rng = np.random.default_rng(seed)
    codes = user_ids.codes.astype(np.int64)
    chosen = _drawn(np.flatnonzero(test.user_idx < 0), codes, limit, rng)
    when = rng.random(len(test)) if test.timestamp is None else test.timestamp
    given, asked = _halves(chosen, codes, when)
    users, number = _numbered(codes[given], codes[asked])
    predictions = _folded_in(recommender, test[given], test[asked], number, users=users)
    metrics = Accuracy.of(predictions, test.rating[asked]).metrics("new_user")
    if len(asked):
        unfolded = recommender.predict_rows(test.user_idx[asked], test.movie_idx[asked])
        metrics |= _rmse("new_user_unfolded", unfolded, test.rating[asked])
    return {"test/new_users": float(users), **metrics}


def folded_in_metrics(
    recommender: Recommender, test: RatingArrays, trained: RatingArrays, *, limit: int | None, seed: int
) -> dict[str, float]:
    """Treat warm test users as new: fold them in from their training ratings, and predict their test rows.

    This compares folded-in tastes with learned ones. The movies' vectors were learned from these users
    too, so errors for truly new users may be a little larger.

    Args:
        limit: Most users to evaluate; None evaluates all.
        seed: Seed for drawing users if there are more.

    Returns:
        `test/rows_folded_in`, and if there are rows `test/rmse_folded_in`, `test/mae_folded_in` and, for
        the same rows with the learned tastes, `test/rmse_folded_in_learned`.
    """
    rng = np.random.default_rng(seed)
    asked = _drawn(np.flatnonzero(test.user_idx >= 0), test.user_idx.astype(np.int64), limit, rng)
    is_asked = np.zeros(len(recommender.users) + 1, bool)  # the last entry is for cold users, row -1
    is_asked[test.user_idx[asked]] = True
    given = np.flatnonzero(is_asked[trained.user_idx])
    users, number = _numbered(trained.user_idx[given], test.user_idx[asked])
    predictions = _folded_in(recommender, trained[given], test[asked], number, users=users)
    metrics = Accuracy.of(predictions, test.rating[asked]).metrics("folded_in")
    if len(asked):
        learned = recommender.predict_rows(test.user_idx[asked], test.movie_idx[asked])
        metrics |= _rmse("folded_in_learned", learned, test.rating[asked])
    return metrics


def _folded_in(
    recommender: Recommender,
    given: RatingArrays,
    asked: RatingArrays,
    number: tuple[_Indices, _Indices],
    *,
    users: int,
) -> npt.NDArray[np.float64]:
    """Predict the ratings `asked` with tastes from those `given`; `number` has the user's number in both."""
    if not len(asked):
        return np.empty(0, np.float64)
    fold_in = FoldIn.of(recommender)
    tastes = fold_in.solve(RatingArrays(number[0].astype(np.int32), given.movie_idx, given.rating), users)
    each = SideRows(tastes.vectors[number[1]], tastes.offset[number[1]])
    return fold_in.predict(each, asked.movie_idx)


def _drawn(rows: _Indices, user: _Indices, limit: int | None, rng: np.random.Generator) -> _Indices:
    """Return all rows of at most `limit` users."""
    users = np.unique(user[rows])
    if limit is None or len(users) <= limit:
        return rows
    return rows[np.isin(user[rows], rng.choice(users, limit, replace=False))]


def _halves(rows: _Indices, user: _Indices, when: npt.NDArray[np.generic]) -> tuple[_Indices, _Indices]:
    """Split each user's rows, in the order of `when`, into those given and those asked."""
    ordered = rows[np.lexsort((when[rows], user[rows]))]
    _, first, count = np.unique(user[ordered], return_index=True, return_counts=True)
    place = np.arange(len(ordered)) - np.repeat(first, count)
    half = np.repeat(count // 2, count)
    return ordered[place < half], ordered[(place >= half) & (half > 0)]


def _numbered(given: _Users, asked: _Users) -> tuple[int, tuple[_Indices, _Indices]]:
    """Number the distinct users of both sides; return how many there are, and the number of each entry."""
    distinct, position = np.unique(np.concatenate([given, asked]), return_inverse=True)
    return len(distinct), (position[: len(given)], position[len(given) :])


def _rmse(slice: str, predictions: npt.NDArray[np.float64], ratings: npt.NDArray[np.floating[Any]]) -> dict[str, float]:
    rmse = Accuracy.of(predictions, ratings).rmse
    return {} if rmse is None else {f"test/rmse_{slice}": rmse}
