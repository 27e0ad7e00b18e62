"""What a training that diverged was at: which rating is likely to be behind it, and what came of it."""

from collections.abc import Callable
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch

from cfmodel.errors import DivergedError
from cfmodel.training.fitting import Fitting

#: Ids of a user's row and a movie's.
IdsOf = Callable[[int, int], tuple[str, str]]

#: A rating so many times as far from the median as the typical one is not on the scale of the others.
_FAR = 1000.0


class _Suspect(NamedTuple):
    """A rating by its rows, and what is strange about it."""

    user: int
    movie: int
    rating: float
    why: str


def explained(error: DivergedError, restored: Fitting, ids: IdsOf, *, outcome: str) -> DivergedError:
    """Return the error with the ids of the likely culprit, and with what came of it.

    That is a rating far outside the scale of all others, if there is one: it shifts their mean, and
    so breaks steps it is not even in. Else it is, of the ratings of the step, the one furthest from
    what the last good weights predict.

    Args:
        error: What the epoch ended in.
        restored: The training in its last good state, of that epoch or before it.
        ids: Names rows as the source does.
        outcome: What came of it.
    """
    said = [str(error)]
    suspect = _outsider(restored) or (_furthest(restored, error.step) if error.step is not None else None)
    if suspect is not None:
        user_id, movie_id = ids(suspect.user, suspect.movie)
        said.append(f"the rating {suspect.rating:g} by user {user_id!r} of movie {movie_id!r} {suspect.why}")
    return DivergedError("; ".join([*said, outcome]), step=error.step)


def _outsider(restored: Fitting) -> _Suspect | None:
    """Return the rating furthest from the median, if it is far outside the scale of the others."""
    train = restored.train
    distance = np.abs(train.rating.astype(np.float64) - np.median(train.rating))
    worst = int(distance.argmax())
    if distance[worst] <= _FAR * max(float(np.median(distance)), 1e-3):
        return None
    found = int(train.user_idx[worst]), int(train.movie_idx[worst]), float(train.rating[worst])
    return _Suspect(*found, "is far outside the scale of the others")


def _furthest(restored: Fitting, step: int) -> _Suspect:
    """Return the rating of a step that is furthest from its prediction."""
    train, batches, model = restored.train, restored.batches, restored.engine.model
    places = next(islice(batches.of(restored.epoch + 1), step - restored.step - 1, None))
    rows = batches.order()[places]
    user, movie, rating = (column[rows] for column in (train.user_idx, train.movie_idx, train.rating))
    device = model.global_mean.device
    predictions = model.score(*(torch.from_numpy(side).to(device) for side in (user, movie))).cpu().numpy()
    errors = np.nan_to_num(np.abs(rating.astype(np.float64) - predictions), nan=np.inf)
    worst = int(errors.argmax())
    why = f"is the furthest in that step from what the last good state predicts, {predictions[worst]:.3g}"
    return _Suspect(int(user[worst]), int(movie[worst]), float(rating[worst]), why)
