"""Compare the RMSE of a challenger with the champion's and with that of damped biases."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cfmodel.config import PromotionSettings
from cfmodel.data.splitting.parts import RatingArrays, concatenate, load_part
from cfmodel.evaluation.baseline_errors import baseline_predictions
from cfmodel.promotion.bootstrap import Difference, paired_bootstrap
from cfmodel.promotion.comparison_rows import CommonRows, common_rows
from cfmodel.promotion.decision import ModelComparison
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef


def compare_models(
    challenger: Recommender,
    champion: Recommender | None,
    split: SplitRef,
    settings: PromotionSettings,
    *,
    trained_parts: Sequence[str],
    champion_split_digest: str | None = None,
    other_lineage: str | None = None,
) -> ModelComparison:
    """Compare models on the test rows of the challenger's split that neither was trained on.

    With fewer users than `settings.min_users` nothing is compared: the interval would mean little.

    Args:
        split: The split the challenger was trained on.
        settings: Confidence, resamples and least number of users.
        trained_parts: Parts of the split the challenger was trained on; damped biases are fitted on them.
        other_lineage: Why the champion is of another catalogue; then nothing is measured, since it would say nothing.

    Raises:
        DataError: A model does not say which ratings it was trained on.
        DigestError: A part is not the one the split names.
    """
    if other_lineage is not None:
        return ModelComparison(0, 0, 0, False, None, None, other_lineage)
    rows = common_rows(split, challenger, *([] if champion is None else [champion]))
    enough = rows.users >= settings.min_users
    damped_bias = _damped_bias(challenger, split, rows, trained_parts) if enough else None
    return ModelComparison(
        rows=len(rows.rating),
        users=rows.users,
        left_out_rows=int((~rows.is_kept).sum()),
        same_data=None if champion is None else champion_split_digest == split.digest,
        against_champion=_difference(rows, rows.predictions[1], settings) if enough and champion is not None else None,
        against_damped_bias=None if damped_bias is None else _difference(rows, damped_bias, settings),
    )


def _difference(rows: CommonRows, other: npt.NDArray[np.floating], settings: PromotionSettings) -> Difference:
    error, other_error = (predictions - rows.rating.astype(np.float64) for predictions in (rows.predictions[0], other))
    options = settings.model_dump(include={"resamples", "confidence", "seed"})
    return paired_bootstrap(rows.user, error, other_error, **options)


def _damped_bias(
    challenger: Recommender, split: SplitRef, rows: CommonRows, trained_parts: Sequence[str]
) -> npt.NDArray[np.float64]:
    users, movies = challenger.users, challenger.movies

    def load(part: str) -> RatingArrays:
        return load_part(split, part, users=users, movies=movies, timestamps=False)

    predictions = baseline_predictions(
        concatenate(*map(load, trained_parts)),
        load("test"),
        num_users=len(users),
        num_movies=len(movies),
        rating_min=challenger.rating_min,
        rating_max=challenger.rating_max,
    )
    return predictions["damped_bias"][rows.is_kept]
