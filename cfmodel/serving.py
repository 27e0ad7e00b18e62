"""A saved recommender as an MLflow pyfunc, read by cfmodel alone.

MLflow finds `_load_pyfunc` by this module's name (`loader_module="cfmodel.serving"`) and hands it
the saved folder (`data_path`), so that the logged model is data: no pickle, no code.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cfmodel.data.vocabulary import Vocabulary
from cfmodel.errors import DataError
from cfmodel.recommender import Recommender
from cfmodel.schema import MOVIE_ID, USER_ID

PREDICTION = "prediction"


class RatingPredictor:
    """Answer tables of ids with predicted ratings.

    Args:
        recommender: What is asked.
    """

    def __init__(self, recommender: Recommender) -> None:
        self.recommender = recommender

    def predict(
        self,
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002 - MLflow may pass it
    ) -> "pd.Series[float]":
        """Predict the rating of each row.

        An unknown id is answered with the cold fallback: the global mean and the known side's bias.

        Args:
            model_input: Columns `user_id` and `movie_id`, text or integers (7 means `7`), N rows.
            params: Not used.

        Returns:
            Predictions in rating units, within the training range, float32, in the input's order and
            with its index.

        Raises:
            DataError: A column is missing.
            VocabularyError: An id is neither text nor an integer.

        Warns:
            UserWarning: No id of a column is known, so they are probably of the wrong kind.
        """
        _check_columns(model_input)
        users = _encode(model_input, USER_ID, self.recommender.users)
        movies = _encode(model_input, MOVIE_ID, self.recommender.movies)
        return pd.Series(self.recommender.predict_rows(users, movies), index=model_input.index, name=PREDICTION)


def _load_pyfunc(path: str) -> RatingPredictor:
    """Load what `Recommender.save` wrote; the name and the argument are MLflow's."""
    return RatingPredictor(Recommender.load(Path(path)))


def _check_columns(table: pd.DataFrame) -> None:
    missing = [column for column in (USER_ID, MOVIE_ID) if column not in table.columns]
    if missing:
        raise DataError(
            f"the request has no column {' and no column '.join(missing)}, only {', '.join(map(str, table.columns))}; "
            f"name them {USER_ID} and {MOVIE_ID}"
        )


def _encode(table: pd.DataFrame, column: str, vocabulary: Vocabulary) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    rows = vocabulary.encode(table[column])
    if len(rows) and (rows < 0).all():
        warnings.warn(
            f"none of the {len(rows):,} ids in {column} is known to the model (such as {table[column].iloc[0]!r}; it "
            f"knows such as {vocabulary.ids[0].as_py()!r}); the ids are probably of the wrong kind, and the answers "
            "are fallbacks",
            UserWarning,
            stacklevel=3,
        )
    return rows
