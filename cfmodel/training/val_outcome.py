"""A model's accuracy on val, compared with baselines, and the taste score."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cfmodel.baselines import DAMPING_MOVIE, DAMPING_USER, fit_damped_biases
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.gradients.recording.gradient_records import Floats, Outcome
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import DeviceRatings

#: Ratings scored at a time.
_TASTE_BLOCK = 65_536


def val_outcome(
    model: CollaborativeFiltering,
    train: RatingArrays,
    val: RatingArrays,
    *,
    phase: str,
    val_rmse: Sequence[float],
    rating_std: float,
    start_rmse: float,
) -> Outcome:
    """Return a model's RMSE on val with those of the global mean and of damped biases.

    Args:
        model: The trained model.
        train: Its training ratings, standardized, all finite, to which the baselines are fitted, too.
        val: Validation ratings, standardized alike, at least one, rows negative if cold.
        phase: The phase, for the record.
        val_rmse: RMSE on val after each epoch, in rating units.
        rating_std: Rating units of one standard deviation.
        start_rmse: RMSE on val of the initial weights, in rating units.
    """
    users, movies = model.num_rows["user"], model.num_rows["movie"]
    biases = fit_damped_biases(train, users, movies, damping_user=DAMPING_USER, damping_movie=DAMPING_MOVIE)
    score = biases.score(val.user_idx, val.movie_idx).clip(float(train.rating.min()), float(train.rating.max()))
    return Outcome(
        phase=phase,
        val_rmse=tuple(val_rmse),
        val_rows=len(val),
        global_mean_rmse=rating_std * _rmse(val.rating - biases.global_mean),
        damped_bias_rmse=rating_std * _rmse(val.rating - score),
        taste_score=taste_score(model, train, val),
        start_rmse=start_rmse,
    )


@torch.no_grad()
def taste_score(model: CollaborativeFiltering, train: RatingArrays, val: RatingArrays) -> float:
    """Return the significance of tastes on val: their correlation with the rest of the rating, in standard errors.

        taste = <p - mean p, q - mean q>      rest = standardized rating - (score - taste)

    with both means over the training ratings, so that a bias inside the embeddings does not count as taste. 0 if
    there is nothing to correlate.
    """
    device = model.global_mean.device
    warm = (val.user_idx >= 0) & (val.movie_idx >= 0)
    columns = (val.user_idx[warm], val.movie_idx[warm], val.rating[warm])
    user = _centred(model.side_rows("user").vectors, train.user_idx)
    movie = _centred(model.side_rows("movie").vectors, train.movie_idx)
    tastes, rests = [], []
    for batch in DeviceRatings.of(RatingArrays(*columns), device).batches(_TASTE_BLOCK):
        taste = (user[batch.user_idx] * movie[batch.movie_idx]).sum(dim=1)
        tastes.append(taste)
        rests.append(batch.rating - model.score(batch.user_idx, batch.movie_idx) + taste)
    return _score(*(torch.cat(parts).double() for parts in (tastes, rests))) if len(columns[0]) > 2 else 0.0


def _centred(table: Tensor, rows: np.ndarray) -> Tensor:
    """Return a table less its mean row, weighted by the number of ratings."""
    counts = torch.from_numpy(np.bincount(rows, minlength=len(table))).to(table)
    return table - (counts @ table) / counts.sum()


def _score(taste: Tensor, rest: Tensor) -> float:
    taste, rest = taste - taste.mean(), rest - rest.mean()
    spread = taste.norm() * rest.norm()
    return float(taste @ rest / spread) * float(np.sqrt(len(taste) - 1)) if float(spread) > 0 else 0.0


def _rmse(error: Floats | np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.asarray(error, np.float64) ** 2)))
