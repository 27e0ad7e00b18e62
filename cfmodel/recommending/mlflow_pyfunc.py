"""A saved recommender as an MLflow pyfunc, read by cfmodel alone.

MLflow loads it through `cfmodel.serving`, which hands over the saved folder: the logged model is data, no pickle and
no code.

What a request asks is told by its columns:

    user_id, movie_id     the rating each user would give the movie
    user_id               the k best movies the user has not seen
    rated [, movie_id]    the same for somebody new, told by ratings: {"42": 5, "17": 2.5}
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
from cfmodel.recommending.suggest import suggest, suggest_to_new
from cfmodel.recommending.top_k import Lists
from cfmodel.schema import MOVIE_ID, USER_ID

PREDICTION = "prediction"
RATED = "rated"

#: Movies recommended to each user unless the request says otherwise, and the most it may ask for.
DEFAULT_K, MOST_K = 10, 1000

#: Distinct ids of a column from which it is suspicious that none is known.
MANY = 10

Rows = npt.NDArray[np.int32]


class RecommenderService:
    """Answer tables of ids with predicted ratings, or with recommendations.

    Args:
        recommender: What is asked.
    """

    def __init__(self, recommender: Recommender) -> None:
        self.recommender = recommender

    def predict(
        self, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> "pd.Series[float] | pd.DataFrame":
        """Predict the rating of each row, or recommend movies to the user of each row.

        An unknown user or movie is answered with what is known: the global mean and the known side's
        bias, or the movies liked best by all. A user told by `rated` is folded in.

        Args:
            model_input: Columns `user_id`, `movie_id`, `rated`, as the module says; ids are text or numbers (7 and
                7.0 mean `7`, a missing id is an unknown one), `rated` holds a mapping of movie ids to ratings; N rows.
            params: `k`, the length of the lists.

        Returns:
            Predictions in rating units, within the training range, float32, in the input's order and
            with its index; or a table `user_id, movie_id, score, rank`, k rows a user at most.

        Raises:
            ConfigError: k is not from 1 to 1000.
            DataError: There is no column that says who, or `rated` holds no mapping to numbers.
            VocabularyError: An id is neither text nor a number.

        Warns:
            UserWarning: No id of the request is known, or none of `MANY` in a column, so they are
                probably of the wrong kind.
        """
        _check_columns(model_input)
        rows = self._rows(model_input)
        if MOVIE_ID in rows:
            return pd.Series(self._ratings(model_input, rows), index=model_input.index, name=PREDICTION)
        return self._recommendations(model_input, rows, _length(params))

    def _rows(self, table: pd.DataFrame) -> dict[str, Rows]:
        """Return the rows of the ids in each column there is."""
        known = {USER_ID: self.recommender.users, MOVIE_ID: self.recommender.movies}
        known = {column: vocabulary for column, vocabulary in known.items() if column in table.columns}
        rows = {column: vocabulary.encode(table[column]) for column, vocabulary in known.items()}
        if RATED not in table.columns:
            _warn_if_of_the_wrong_kind(table, rows, known)
        return rows

    def _ratings(self, table: pd.DataFrame, rows: dict[str, Rows]) -> npt.NDArray[np.float32]:
        if RATED not in table.columns:
            return self.recommender.predict_rows(rows[USER_ID], rows[MOVIE_ID])
        tastes = self._fold_in.tastes(self._rated(table[RATED]), len(table))
        return self._fold_in.predict(tastes, rows[MOVIE_ID])

    def _recommendations(self, table: pd.DataFrame, rows: dict[str, Rows], k: int) -> pd.DataFrame:
        if RATED in table.columns:
            lists = suggest_to_new(self.recommender, self._rated(table[RATED]), len(table), k=k, fold_in=self._fold_in)
        else:
            lists = suggest(self.recommender, rows[USER_ID], k=k)
        users = table[USER_ID] if USER_ID in table.columns else pd.Series([None] * len(table), dtype=object)
        return _long(lists, users, self.recommender.movies)

    def _rated(self, rated: "pd.Series[Any]") -> RatingArrays:
        """Return the ratings of every row's mapping; the rows number the users."""
        pairs = [(row, *pair) for row, given in enumerate(rated) for pair in _mapping(given, row).items()]
        user, movie, rating = ([pair[place] for pair in pairs] for place in range(3))
        return RatingArrays(
            np.array(user, np.int32), self.recommender.movies.encode(movie), np.array(rating, np.float32)
        )

    @cached_property
    def _fold_in(self) -> FoldIn:
        return FoldIn.of(self.recommender)


def _check_columns(table: pd.DataFrame) -> None:
    if not {USER_ID, RATED} & set(table.columns):
        raise DataError(
            f"the request has no column {USER_ID} and no column {RATED}, only {', '.join(map(str, table.columns))}; "
            f"give {USER_ID} and {MOVIE_ID} for ratings, {USER_ID} alone for recommendations"
        )


def _length(params: dict[str, Any] | None) -> int:
    k = int((params or {}).get("k", DEFAULT_K))
    if not 1 <= k <= MOST_K:
        raise ConfigError(f"k must be from 1 to {MOST_K:,} movies, not {k:,}")
    return k


def _mapping(given: Any, row: int) -> dict[str, float]:
    try:
        return {str(movie): float(stars) for movie, stars in given.items()}
    except (AttributeError, TypeError, ValueError):
        raise DataError(
            f"row {row:,} of the request: {RATED} must map movie ids to ratings, as "
            f'{{"42": 5, "17": 2.5}}, not {given!r}'
        ) from None


def _long(lists: Lists, users: "pd.Series[Any]", movies: Vocabulary) -> pd.DataFrame:
    """Return lists as a table with one row per movie recommended."""
    there = lists.movie_idx >= 0
    who, place = np.nonzero(there)
    return pd.DataFrame(
        {
            USER_ID: users.to_numpy(dtype=object)[who],
            MOVIE_ID: np.array(movies.decode(lists.movie_idx[there]), dtype=object),
            "score": lists.score[there],
            "rank": place + 1,
        }
    )


def _warn_if_of_the_wrong_kind(table: pd.DataFrame, rows: dict[str, Rows], known: dict[str, Vocabulary]) -> None:
    unknown = [column for column, found in rows.items() if len(found) and (found < 0).all()]
    # One new user is no sign of anything; many ids of which none is known are.
    many = [column for column in unknown if table[column].nunique() >= MANY]
    for column in unknown if len(unknown) == len(rows) > 1 else many:
        warnings.warn(
            f"none of the {len(table):,} ids in {column} is known to the model (such as {table[column].iloc[0]!r}; it "
            f"knows such as {known[column].ids[0].as_py()!r}); the ids are probably of the wrong kind, and the answers "
            "are fallbacks",
            UserWarning,
            stacklevel=4,
        )
