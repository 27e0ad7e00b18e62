"""What a training that diverged was at: the rating that its last good weights were furthest from."""

from collections.abc import Callable
from itertools import islice

import numpy as np
import torch

from cfmodel.errors import DivergedError
from cfmodel.training.fitting import Fitting

#: Ids of a user's row and a movie's.
IdsOf = Callable[[int, int], tuple[str, str]]


def explained(error: DivergedError, restored: Fitting, ids: IdsOf, *, outcome: str) -> DivergedError:
    """Return the error with the ids of the likely culprit, and with what came of it.

    The culprit is, of the ratings of the step's batch, the one furthest from what the last good
    weights predict.

    Args:
        error: What the epoch ended in.
        restored: The training in its last good state, before that epoch.
        ids: Names rows as the source does.
        outcome: What came of it.
    """
    said = [str(error)]
    if error.step is not None:
        user, movie, rating, prediction = _furthest(restored, error.step)
        user_id, movie_id = ids(user, movie)
        said.append(
            f"of that step's ratings, {rating:g} by user {user_id!r} of movie {movie_id!r} is the furthest from what "
            f"was predicted before the epoch, {prediction:.3g}"
        )
    return DivergedError("; ".join([*said, outcome]), step=error.step)


def _furthest(restored: Fitting, step: int) -> tuple[int, int, float, float]:
    """Return user row, movie row, rating and prediction of the rating furthest from its prediction."""
    train, batches, model = restored.train, restored.batches, restored.engine.model
    places = next(islice(batches.of(restored.epoch + 1), step - restored.step - 1, None))
    rows = batches.order()[places]
    user, movie, rating = (column[rows] for column in (train.user_idx, train.movie_idx, train.rating))
    device = model.global_mean.device
    predictions = model.score(*(torch.from_numpy(side).to(device) for side in (user, movie))).cpu().numpy()
    errors = np.nan_to_num(np.abs(rating.astype(np.float64) - predictions), nan=np.inf)
    worst = int(errors.argmax())
    return int(user[worst]), int(movie[worst]), float(rating[worst]), float(predictions[worst])
