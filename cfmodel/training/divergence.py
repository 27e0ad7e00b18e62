"""The likely cause of a divergence, for the error message."""

from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from cfmodel.errors import DivergedError
from cfmodel.training.fitting import Fitting

#: Returns the ids of a user's row and a movie's row.
IdsOf = Callable[[int, int], tuple[str, str]]

#: An outlier is this many times as far from the median as the typical rating.
_FAR = 1000.0


class _Suspect(NamedTuple):
    """A rating that may have caused the divergence, and why."""

    user: int
    movie: int
    rating: float
    why: str


def explain_divergence(error: DivergedError, restored: Fitting, ids: IdsOf, *, outcome: str) -> DivergedError:
    """Return the error with the rating that is the likely cause, and with the outcome.

    The likely cause is a rating far outside the scale of all others, if there is one: it shifts the mean, and so
    breaks even steps without it. Else it is the rating of the step with the largest error under the last good
    weights.

    Args:
        error: The error of the epoch.
        restored: The training in its last good state.
        ids: Returns ids for messages.
        outcome: What happens next, for the end of the message.
    """
    parts = [str(error)]
    suspect = _outlier(restored) or (_worst_prediction(restored, error.step) if error.step is not None else None)
    if suspect is not None:
        user_id, movie_id = ids(suspect.user, suspect.movie)
        parts.append(f"the rating {suspect.rating:g} by user {user_id!r} of movie {movie_id!r} {suspect.why}")
    return DivergedError("; ".join([*parts, outcome]), step=error.step)


def _outlier(restored: Fitting) -> _Suspect | None:
    """Return the rating furthest from the median, if it is an outlier."""
    train = restored.train
    distance = np.abs(train.rating.astype(np.float64) - np.median(train.rating))
    worst = int(distance.argmax())
    if distance[worst] <= _FAR * max(float(np.median(distance)), 1e-3):
        return None
    rating = restored.plan.scale.in_rating_units(train.rating[worst])
    return _Suspect(
        int(train.user_idx[worst]), int(train.movie_idx[worst]), rating, "is far outside the scale of the others"
    )


def _worst_prediction(restored: Fitting, step: int) -> _Suspect:
    """Return the rating of a step with the largest error."""
    train, batches, model = restored.train, restored.batches, restored.engine.model
    places = next(islice(batches.of(restored.epoch + 1), step - restored.step - 1, None))
    rows = batches.order()[places]
    user, movie, rating = (column[rows] for column in (train.user_idx, train.movie_idx, train.rating))
    device = model.global_mean.device
    scores = model.score(*(torch.from_numpy(side).to(device) for side in (user, movie))).cpu().numpy()
    errors = np.nan_to_num(np.abs(rating.astype(np.float64) - scores), nan=np.inf)
    worst = int(errors.argmax())
    predicted, given = (restored.plan.scale.in_rating_units(each[worst]) for each in (scores, rating))
    why = f"has the largest error of that step: the last good state predicts {predicted:.3g}"
    return _Suspect(int(user[worst]), int(movie[worst]), given, why)
