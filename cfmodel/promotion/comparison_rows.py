"""The rows that models are compared on: the same for all, and none was trained on them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cfmodel.data.splitting.parts import RatingArrays, load_part
from cfmodel.errors import DataError
from cfmodel.evaluation.identifiers import user_codes
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef


@dataclass(frozen=True, eq=False)
class CommonRows:
    """Test ratings that no model of the comparison was trained on.

    Attributes:
        user: Number of each row's user, the same for all models, int32, shape (N,).
        rating: Ratings, in rating units, float64, shape (N,).
        predictions: One array of predictions per model, in rating units, each of shape (N,).
        is_kept: Whether each row of the test part is among these, shape (T,).
    """

    user: npt.NDArray[np.int32]
    rating: npt.NDArray[np.floating[Any]]
    predictions: tuple[npt.NDArray[np.float64], ...]
    is_kept: npt.NDArray[np.bool_]

    @property
    def users(self) -> int:
        """Distinct users of the rows."""
        return len(np.unique(self.user))


def common_rows(split: SplitRef, *models: Recommender) -> CommonRows:
    """Predict with every model the test rows of a split that none of them was trained on.

    A model trained on another split may have been trained on some of the test rows. Rows are matched by
    user and movie.

    Raises:
        DataError: A model does not say which ratings it was trained on.
        DigestError: A part is not the one the split names.
    """
    encoded = [load_part(split, "test", users=model.users, movies=model.movies, timestamps=False) for model in models]
    kept = np.ones(len(encoded[0]), bool)
    for model, rows in zip(models, encoded, strict=True):
        kept &= ~_was_trained_on(model, rows)
    predictions = tuple(
        model.predict_rows(rows.user_idx[kept], rows.movie_idx[kept])
        for model, rows in zip(models, encoded, strict=True)
    )
    return CommonRows(user_codes(split)[kept], encoded[0].rating[kept], predictions, kept)


def _was_trained_on(model: Recommender, rows: RatingArrays) -> npt.NDArray[np.bool_]:
    if model.history is None:
        raise DataError(
            "a model to be compared does not say which ratings it was trained on, so rows that are new to it are "
            "unknown; train it again"
        )
    return model.history.trained.contains(rows.user_idx, rows.movie_idx)
