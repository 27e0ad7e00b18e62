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

#: Distinct ids of a column from which it is suspicious that none is known.
MANY = 10

Rows = np.ndarray[tuple[int], np.dtype[np.int32]]


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
            model_input: Columns `user_id` and `movie_id`, text or numbers (7 and 7.0 mean `7`, a missing id is an
                unknown one), N rows.
            params: Not used.

        Returns:
            Predictions in rating units, within the training range, float32, in the input's order and
            with its index.

        Raises:
            DataError: A column is missing.
            VocabularyError: An id is neither text nor a number.

        Warns:
            UserWarning: No id of the request is known, or none of `MANY` in a column, so they are
                probably of the wrong kind.
        """
        _check_columns(model_input)
        known = {USER_ID: self.recommender.users, MOVIE_ID: self.recommender.movies}
        rows = {column: vocabulary.encode(model_input[column]) for column, vocabulary in known.items()}
        _warn_if_of_the_wrong_kind(model_input, rows, known)
        predictions = self.recommender.predict_rows(rows[USER_ID], rows[MOVIE_ID])
        return pd.Series(predictions, index=model_input.index, name=PREDICTION)


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


def _warn_if_of_the_wrong_kind(table: pd.DataFrame, rows: "dict[str, Rows]", known: dict[str, Vocabulary]) -> None:
    unknown = [column for column, found in rows.items() if len(found) and (found < 0).all()]
    # One new user is no sign of anything; many ids of which none is known are.
    many = [column for column in unknown if table[column].nunique() >= MANY]
    for column in unknown if len(unknown) == len(rows) else many:
        warnings.warn(
            f"none of the {len(table):,} ids in {column} is known to the model (such as {table[column].iloc[0]!r}; it "
            f"knows such as {known[column].ids[0].as_py()!r}); the ids are probably of the wrong kind, and the answers "
            "are fallbacks",
            UserWarning,
            stacklevel=3,
        )
