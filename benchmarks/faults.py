"""The catalogue of faults, each in four grades from slight to severe, and of sound trainings.

The two highest grades of each fault are clear: nobody would call the run sound. They were fixed before any threshold
was chosen.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from trainings import Training, observe, of_arrays

from cfmodel.baselines import fit_damped_biases
from cfmodel.column_statistics import RatingScale
from cfmodel.config import TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import default_batch_size

#: The grades that are clear.
CLEAR = (2, 3)


@dataclass(frozen=True)
class Fault:
    """One way for a training to go wrong.

    Attributes:
        name: Its name in the tables.
        grades: Its strengths, from slight to severe.
        inject: Adds the fault of a grade to a sound training.
        verdicts: Rules that identify it; each of them counts as right.
    """

    name: str
    grades: tuple[float, float, float, float]
    inject: Callable[[Training, float], Training]
    verdicts: tuple[str, ...]


def initial_spread(training: Training, std: float) -> Training:
    """Draw the initial embeddings with too large a spread."""
    return training.with_settings(init_std=std)


def learning_rate(training: Training, rate: float) -> Training:
    """Set the learning rate, too high or too low."""
    return training.with_settings(learning_rate=rate)


def weight_decay(training: Training, decay: float) -> Training:
    """Let Adam decay weights with its own `weight_decay`, which is coupled with the gradient."""
    return replace(training, adam=(("weight_decay", decay),))


def decayed_cold_rows(training: Training, decay: float) -> Training:
    """Add weight decay, and declare a twentieth more rows than there are ids."""
    grown = replace(
        training, num_users=int(training.num_users * 1.05) + 1, num_movies=int(training.num_movies * 1.05) + 1
    )
    return weight_decay(grown, decay)


def outlier_labels(training: Training, widths: float) -> Training:
    """Set five labels to this many widths of the scale above its top."""
    top, bottom = float(training.train.rating.max()), float(training.train.rating.min())

    def spoil(ratings: RatingArrays, rng: np.random.Generator) -> RatingArrays:
        rating = ratings.rating.copy()
        rating[rng.choice(len(rating), 5, replace=False)] = top + widths * (top - bottom)
        return replace(ratings, rating=rating)

    return replace(training.with_ratings(spoil), val=training.val)


def shuffled_labels(training: Training, share: float) -> Training:
    """Shuffle the labels of this share of all ratings."""

    def shuffle(ratings: RatingArrays, rng: np.random.Generator) -> RatingArrays:
        rating, some = ratings.rating.copy(), _some(len(ratings), share, rng)
        rating[some] = rng.permutation(rating[some])
        return replace(ratings, rating=rating)

    return training.with_ratings(shuffle)


def shuffled_tastes(training: Training, share: float) -> Training:
    """Shuffle the residuals of the biases for this share of all ratings: tastes are lost, biases stay."""
    sizes = training.num_users, training.num_movies
    biases = fit_damped_biases(training.train, *sizes, damping_user=5, damping_movie=5)

    def shuffle(ratings: RatingArrays, rng: np.random.Generator) -> RatingArrays:
        expected, some = biases.score(ratings.user_idx, ratings.movie_idx), _some(len(ratings), share, rng)
        rest = ratings.rating - expected
        rest[some] = rng.permutation(rest[some])
        return replace(ratings, rating=(expected + rest).astype(np.float32))

    return training.with_ratings(shuffle)


def dead_rows(training: Training, share: float) -> Training:
    """Mask the gradient of this share of the users' or the movies' rows."""
    rng = np.random.default_rng(training.seed)
    side = ("user", "movie")[training.seed % 2]
    rows = _some(getattr(training, f"num_{side}s"), share, rng)

    def mask(model: CollaborativeFiltering) -> None:
        keep = torch.ones(getattr(training, f"num_{side}s"), 1)
        keep[torch.from_numpy(rows)] = 0
        for name in (f"{side}_embeddings", f"{side}_biases"):
            getattr(model, name).weight.register_hook(lambda gradient: gradient * keep)

    return replace(training, prepare=mask)


def colliding_ids(training: Training, left: float) -> Training:
    """Map users, or movies, to this share of their rows."""
    name, rows = (("user_idx", training.num_users), ("movie_idx", training.num_movies))[training.seed % 2]
    buckets = max(int(rows * left), 1)

    def squeeze(ratings: RatingArrays, _: np.random.Generator) -> RatingArrays:
        idx = getattr(ratings, name)
        return replace(ratings, **{name: np.where(idx >= 0, idx % buckets, idx)})

    return training.with_ratings(squeeze)


def frozen_table(training: Training, share: float) -> Training:
    """Freeze one table for the last share of the steps."""
    return replace(training, frozen=(CollaborativeFiltering.table_names()[training.seed % 4], 1 - share))


def summed_loss(training: Training, factor: float) -> Training:
    """Multiply the loss; 0 means the sum over the batch, -1 ten times that."""
    size = training.settings.batch_size or default_batch_size(len(training.train))
    return replace(training, loss_scale={0.0: size, -1.0: 10.0 * size}.get(factor, factor))


def uncentred(training: Training, share: float) -> Training:
    """Leave this share of the mean rating for the tables to learn; biases in closed form would take it up."""
    own = RatingScale.of(training.train.rating)
    return replace(training.with_settings(bias_start="zero"), scale=RatingScale((1 - share) * own.mean, own.std))


def zero_dimensions(training: Training, share: float) -> Training:
    """Start this share of the embeddings' dimensions at zero in both tables."""

    @torch.no_grad()
    def zero(model: CollaborativeFiltering) -> None:
        dimensions = model.user_embeddings.weight.shape[1]
        for table in (model.user_embeddings, model.movie_embeddings):
            table.weight[:, : min(round(dimensions * share), dimensions - (share < 1))] = 0

    return replace(training, prepare=zero)


def missing_labels(training: Training, count: float) -> Training:
    """Set this many labels to NaN."""

    def spoil(ratings: RatingArrays, rng: np.random.Generator) -> RatingArrays:
        rating = ratings.rating.copy()
        rating[rng.choice(len(rating), int(count), replace=False)] = np.nan
        return replace(ratings, rating=rating)

    # The scale comes from the sound ratings, as with a broken loader.
    scale = RatingScale.of(training.train.rating)
    return replace(training.with_ratings(spoil), val=training.val, scale=scale)


def loss_spike(training: Training, factor: float) -> Training:
    """Multiply the ratings of one batch in the middle of the training."""
    return replace(training, spike=factor)


def strong_penalty(training: Training, factor: float) -> Training:
    """Multiply the default regularization by this factor."""
    return training.with_settings(regularization=factor * TrainSettings().regularization)


FAULTS = (
    Fault("initial spread", (0.2, 0.4, 1.0, 2.0), initial_spread, ("initialisation_too_large",)),
    Fault("learning rate high", (0.03, 0.1, 0.3, 1.0), learning_rate, ("learning_rate_too_high", "non_finite")),
    Fault("learning rate low", (3e-4, 1e-4, 1e-5, 1e-6), learning_rate, ("learning_rate_too_low",)),
    Fault("weight decay", (1e-4, 1e-3, 1e-2, 1e-1), weight_decay, ("collapsed_embeddings", "cold_row_drift")),
    Fault("decayed cold rows", (1e-8, 1e-6, 1e-4, 1e-2), decayed_cold_rows, ("cold_row_drift",)),
    Fault("strong penalty", (2, 5, 25, 100), strong_penalty, ("collapsed_embeddings", "embeddings_add_nothing")),
    Fault("outlier labels", (0.5, 2, 10, 100), outlier_labels, ("outlier_labels",)),
    Fault("missing labels", (1, 3, 10, 100), missing_labels, ("non_finite",)),
    Fault("shuffled labels", (0.25, 0.5, 0.9, 1.0), shuffled_labels, ("no_signal",)),
    Fault(
        "shuffled tastes", (0.25, 0.5, 0.9, 1.0), shuffled_tastes, ("embeddings_add_nothing", "collapsed_embeddings")
    ),
    Fault("dead rows", (0.005, 0.02, 0.1, 0.5), dead_rows, ("dead_rows",)),
    Fault("colliding ids", (0.95, 0.8, 0.5, 0.1), colliding_ids, ("id_coverage",)),
    Fault("frozen table", (0.1, 0.3, 0.8, 1.0), frozen_table, ("frozen_table",)),
    Fault("summed loss", (3, 10, 0, -1), summed_loss, ("clipping",)),
    Fault("uncentred ratings", (0.1, 0.3, 0.7, 1.0), uncentred, ("mean_leak",)),
    Fault("zero dimensions", (0.5, 0.8, 0.999, 1.0), zero_dimensions, ("dead_table", "collapsed_embeddings")),
    Fault("loss spike", (1.5, 3, 10, 30), loss_spike, ("loss_spike",)),
)


def scaled(training: Training, factor: float) -> Training:
    """Put the ratings on another scale."""

    def change(ratings: RatingArrays, _: np.random.Generator) -> RatingArrays:
        return replace(ratings, rating=ratings.rating * factor)

    return training.with_ratings(change)


def stars(training: Training, step: float) -> Training:
    """Round the ratings to stars."""

    def change(ratings: RatingArrays, _: np.random.Generator) -> RatingArrays:
        return replace(ratings, rating=(np.round(ratings.rating / step) * step).clip(0.5, 5))

    return training.with_ratings(change)


def few(training: Training, users: int) -> Training:
    """Keep only the ratings of the first users."""
    parts = (training.train, training.val)
    user, movie, rating = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("user_idx", "movie_idx", "rating")
    )
    kept = (user >= 0) & (movie >= 0) & (user < users)
    order = np.random.default_rng(training.seed).permutation(int(kept.sum()))
    made = of_arrays(user[kept][order], movie[kept][order], rating[kept][order], seed=training.seed)
    return replace(made, settings=training.settings)


def restarted(training: Training, epochs: int) -> Training:
    """Start from the weights of an earlier training, without Adam's moments."""
    weights: dict[str, Any] = {}

    def keep(model: CollaborativeFiltering) -> None:
        weights["model"] = model

    observe(replace(training.with_settings(epochs=epochs), prepare=keep))

    def resume(model: CollaborativeFiltering) -> None:
        model.load_state_dict(weights["model"].state_dict())

    return replace(training, prepare=resume)


def decoupled_decay(training: Training, decay: float) -> Training:
    """Let Adam decay weights a little, decoupled from the gradient (AdamW)."""
    return replace(training, adam=(("weight_decay", decay), ("decoupled_weight_decay", True)))


def settings(**changes: Any) -> Callable[[Training], Training]:
    """Return a function that changes these settings."""
    return lambda training: training.with_settings(**changes)


#: Sound trainings, harmless oddities among them.
HEALTHY: dict[str, Callable[[Training], Training]] = {
    "defaults": lambda training: training,
    "defaults, 10 epochs": settings(epochs=10),
    "one epoch": settings(epochs=1),
    "16 dimensions": settings(embedding_dim=16),
    "100 dimensions": settings(embedding_dim=100),
    "learning rate 0.001": settings(learning_rate=0.001, epochs=6),
    "learning rate 0.01": settings(learning_rate=0.01),
    "constant schedule": settings(schedule="constant"),
    "cosine schedule": settings(schedule="cosine"),
    "spread 0.1": settings(init_std=0.1),
    "no penalty": settings(regularization=0.0),
    "double penalty": lambda training: strong_penalty(training, 2.0),
    "tiny batches": settings(batch_size=16, epochs=2),
    "large batches": settings(batch_size=1024, epochs=8),
    "clip at 5": settings(max_grad_norm=5.0),
    "clip at 0.25": settings(max_grad_norm=0.25),
    "three users": lambda training: few(training, 3),
    "thirty users": lambda training: few(training, 30),
    "restart": lambda training: restarted(training, 2),
    "small decay": lambda training: weight_decay(training, 1e-6),
    "decoupled decay": lambda training: decoupled_decay(training, 0.01),
    "scale of 100": lambda training: scaled(training, 20.0),
    "scale of 1": lambda training: scaled(training, 0.2),
    "whole stars": lambda training: stars(training, 1.0),
}


def _some(count: int, share: float, rng: np.random.Generator) -> np.ndarray:
    return rng.choice(count, min(max(round(count * share), 1), count), replace=False)
