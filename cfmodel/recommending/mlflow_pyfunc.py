"""The MLflow pyfunc model: a saved recommender that answers requests.

MLflow loads it through `cfmodel.serving`. The logged model is data, with no pickle and no code.

The columns of a request decide the answer:

    user_id, movie_id     the predicted rating of each pair
    user_id               the k best movies the user has not seen
    rated [, movie_id]    the same for a new user with these ratings: {"42": 5, "17": 2.5}

Every answer says which ids of the request the model knows: `user_known`, `movie_known`, and for a new user
`rated_known`, how many of the rated movies.
"""

import warnings
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.errors import ConfigError, DataError
from cfmodel.recommending.fold_in import FoldIn
from cfmodel.recommending.recommender import Recommender
from cfmodel.recommending.suggest import require_on_scale, suggest, suggest_to_new
from cfmodel.recommending.top_k import Lists
from cfmodel.schema import MOVIE_ID, USER_ID

_RATED = "rated"

#: Length of the lists if the request gives no `k`, and the largest `k`.
_DEFAULT_K, _MAX_K = 10, 1000

#: Distinct ids in a column from which on it is suspicious if none is known.
_MANY_IDS = 10

_Rows = npt.NDArray[np.int32]
_Known = dict[str, npt.NDArray[Any]]


class RecommenderService:
    """A recommender that answers tables of ids with predicted ratings or recommendations."""

    def __init__(self, recommender: Recommender) -> None:
        self.recommender = recommender

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predict the rating of each row, or recommend movies to the user of each row.

        Unknown ids get a fallback: the global mean and the known side's offset, or the movies with the highest
        offsets. A user with `rated` is folded in.

        Args:
            model_input: Columns `user_id`, `movie_id`, `rated`, as in the module's table; N rows. Ids are text or
                numbers (7 and 7.0 mean `7`, a missing id counts as unknown); `rated` maps movie ids to ratings.
                A cell that is a list stands for a row each, as MLflow makes of `{"inputs": {"user_id": [...]}}`.
            params: `k`, the length of the lists.

        Returns:
            A table `prediction` in rating units, within the training range, float64, in the input's order and
            with its index; or a table `user_id, movie_id, score, rank` with at most k rows per user, ordered by the
            score, which is not clamped. Both have the columns that say which ids are known.

        Raises:
            ConfigError: k is not from 1 to 1000.
            DataError: There is neither `user_id` nor `rated`, columns differ in length, or `rated` does not map ids
                to ratings within the training range.
            VocabularyError: An id is neither text nor a number.

        Warns:
            UserWarning: No id of the request is known, or none of 10 or more in a column: they are probably of
                the wrong kind.
        """
        _check_columns(model_input)
        table = _one_row_each(model_input)
        rows = self._rows(table)
        rated = self._rated(table[_RATED]) if _RATED in table.columns else None
        known = _known(rows, rated, len(table))
        if MOVIE_ID in rows:
            predictions = pd.DataFrame({"prediction": self._ratings(rows, rated, len(table))}, index=table.index)
            return predictions.assign(**known)
        return self._recommendations(table, rows, rated, known, _list_length(params))

    def _rows(self, table: pd.DataFrame) -> dict[str, _Rows]:
        """Return the rows of the ids, by column of the request."""
        known = {USER_ID: self.recommender.users, MOVIE_ID: self.recommender.movies}
        known = {column: vocabulary for column, vocabulary in known.items() if column in table.columns}
        rows = {column: vocabulary.encode(table[column]) for column, vocabulary in known.items()}
        if _RATED not in table.columns:
            _warn_of_unknown_ids(table, rows, known)
        return rows

    def _ratings(self, rows: dict[str, _Rows], rated: RatingArrays | None, number: int) -> npt.NDArray[np.float64]:
        if rated is None:
            return self.recommender.predict_rows(rows[USER_ID], rows[MOVIE_ID])
        return self._fold_in.predict(self._fold_in.solve(rated, number), rows[MOVIE_ID])

    def _recommendations(
        self, table: pd.DataFrame, rows: dict[str, _Rows], rated: RatingArrays | None, known: _Known, k: int
    ) -> pd.DataFrame:
        if rated is None:
            lists = suggest(self.recommender, rows[USER_ID], k=k)
        else:
            lists = suggest_to_new(self.recommender, rated, len(table), k=k, fold_in=self._fold_in)
        users = table[USER_ID] if USER_ID in table.columns else pd.Series([None] * len(table), dtype=object)
        return _as_table(lists, users, self.recommender.movies, known)

    def _rated(self, rated: "pd.Series[Any]") -> RatingArrays:
        """Return the ratings in a column of mappings; `user_idx` is the row of the request."""
        pairs = [(row, *pair) for row, given in enumerate(rated) for pair in _ratings_of_row(given, row).items()]
        user, movie, rating = ([pair[place] for pair in pairs] for place in range(3))
        for row, rated_movie, stars in pairs:
            require_on_scale(self.recommender, rated_movie, stars, where=f"row {row:,} of the request: ")
        return RatingArrays(
            np.array(user, np.int32), self.recommender.movies.encode(movie), np.array(rating, np.float64)
        )

    @cached_property
    def _fold_in(self) -> FoldIn:
        return FoldIn.of(self.recommender)


def _check_columns(table: pd.DataFrame) -> None:
    if not {USER_ID, _RATED} & set(table.columns):
        raise DataError(
            f"the request has no column {USER_ID} and no column {_RATED}; "
            f"give {USER_ID} and {MOVIE_ID} for ratings, {USER_ID} alone for recommendations"
        )


def _one_row_each(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with a row for each entry of the cells that are lists; other cells are repeated."""

    def is_list(cell: Any) -> bool:
        return isinstance(cell, list | tuple | np.ndarray)

    given = [name for name in (USER_ID, MOVIE_ID, _RATED) if name in table.columns]
    listed = [name for name in given if len(table) and table[name].map(is_list).all()]
    if not listed:
        return table
    lengths = [table[name].map(len) for name in listed]
    if any((each != lengths[0]).any() for each in lengths):
        found = ", ".join(f"{name} {each.sum():,}" for name, each in zip(listed, lengths, strict=True))
        raise DataError(f"the lists of the request differ in length ({found}); give as many of each")
    return table[lengths[0] > 0].explode(listed, ignore_index=True)


def _known(rows: dict[str, _Rows], rated: RatingArrays | None, number: int) -> _Known:
    """Return what the model knows of each row of the request, by column of the answer."""
    names = {USER_ID: "user_known", MOVIE_ID: "movie_known"}
    found: _Known = {
        names[column]: places >= 0 for column, places in rows.items() if rated is None or column == MOVIE_ID
    }
    if rated is not None:
        found["rated_known"] = np.bincount(rated.user_idx[rated.movie_idx >= 0], minlength=number)
    return found


def _list_length(params: dict[str, Any] | None) -> int:
    k = int((params or {}).get("k", _DEFAULT_K))
    if not 1 <= k <= _MAX_K:
        raise ConfigError(f"k must be from 1 to {_MAX_K:,} movies, not {k:,}")
    return k


def _ratings_of_row(given: Any, row: int) -> dict[str, float]:
    try:
        if any(isinstance(stars, bool) for stars in given.values()):  # a like is no rating of 1
            raise TypeError
        return {str(movie): float(stars) for movie, stars in given.items()}
    except (AttributeError, TypeError, ValueError):
        raise DataError(
            f"row {row:,} of the request: {_RATED} must map movie ids to ratings, as "
            f'{{"42": 5, "17": 2.5}}, not {given!r}'
        ) from None


def _as_table(lists: Lists, users: "pd.Series[Any]", movies: Vocabulary, known: _Known) -> pd.DataFrame:
    """Return lists as a table with one row per recommended movie."""
    there = lists.movie_idx >= 0
    who, place = np.nonzero(there)
    return pd.DataFrame(
        {
            USER_ID: users.to_numpy(dtype=object)[who],
            MOVIE_ID: np.array(movies.decode(lists.movie_idx[there]), dtype=object),
            "score": lists.score[there],
            "rank": place + 1,
            **{name: values[who] for name, values in known.items()},
        }
    )


def _warn_of_unknown_ids(table: pd.DataFrame, rows: dict[str, _Rows], known: dict[str, Vocabulary]) -> None:
    unknown = [column for column, found in rows.items() if len(found) and (found < 0).all()]
    # One new user is nothing unusual; many ids, all unknown, are.
    many = [column for column in unknown if table[column].nunique() >= _MANY_IDS]
    for column in unknown if len(unknown) == len(rows) > 1 else many:
        warnings.warn(
            f"none of the {len(table):,} ids in {column} is known to the model (the first is "
            f"{table[column].iloc[0]!r}, known ids look like {known[column].ids[0].as_py()!r}); the answers are "
            "fallbacks, and the ids are probably of the wrong kind: send those of the training ratings",
            UserWarning,
            stacklevel=5,
        )
