"""From a split to a recommender: load, fit, refit."""

import time
from dataclasses import dataclass
from typing import Any

import torch

from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.data.parts import RatingArrays, concatenate, load_part, load_vocabularies
from cfmodel.history import History
from cfmodel.recommender import Recommender
from cfmodel.refs import SplitRef
from cfmodel.training.fit import FitResult, fit
from cfmodel.training.memory import AdamMemory
from cfmodel.training.records import OnRecord


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """A trained recommender and how it came about.

    Attributes:
        recommender: The model of the best epoch, or of the refit, with its vocabularies.
        best_epoch: Epoch with the lowest val RMSE; also the number of epochs of the refit.
        best_val_rmse: That RMSE, in rating units; None where val has no rating.
        epochs: Epochs run before training stopped; the refit's not counted.
        batch_size: Ratings in a step.
        regularization: Weight of the penalty, in the training that made the recommender.
        memory: What Adam remembered at the end of that training.
        stopped_early: Whether patience ended the training.
        refit: Whether the recommender was trained again on train and val together.
        num_ratings: Ratings the recommender learned from.
        seconds: How long it all took, loading included.
    """

    recommender: Recommender
    best_epoch: int
    best_val_rmse: float | None
    epochs: int
    batch_size: int
    regularization: float
    memory: AdamMemory
    stopped_early: bool
    refit: bool
    num_ratings: int
    seconds: float

    def summary(self) -> dict[str, float]:
        """Return what is worth comparing across runs, by metric key."""
        return {
            "train/batch_size": self.batch_size,
            "train/regularization": self.regularization,
            "train/epochs": self.epochs,
            "train/stopped_early": float(self.stopped_early),
            "train/ratings": self.num_ratings,
        }


def train(
    split: SplitRef,
    settings: TrainSettings,
    *,
    device: torch.device,
    on_record: OnRecord | None = None,
    monitor: MonitorSettings = MonitorSettings(),
) -> TrainingResult:
    """Train a recommender on a split's train part, choosing the epoch on its val part.

    With `settings.refit` the recommender is trained once more from scratch, on train and val
    together with a vocabulary of both, for the number of epochs so chosen: same seed, same batch
    size, same schedule.

    Both are watched by a monitor as `monitor` says, if there is an `on_record` to take what it sees.

    Raises:
        DataError: The train part is empty.
        DigestError: A part is not the one the ref names.
        DivergedError: Loss, gradient or weights are no longer finite.
    """
    started = time.perf_counter()
    users, movies = load_vocabularies(split)
    ratings, val = (load_part(split, part, users=users, movies=movies) for part in ("train", "val"))

    def fitted(train: RatingArrays, val: RatingArrays | None, **how: Any) -> FitResult:
        how |= {"num_users": len(users), "num_movies": len(movies), "monitor": monitor}
        return fit(train, val, settings=settings, device=device, on_record=on_record, **how)

    found = last = fitted(ratings, val)
    if settings.refit:
        users, movies = load_vocabularies(split, parts=("train", "val"))
        ratings = concatenate(*(load_part(split, part, users=users, movies=movies) for part in ("train", "val")))
        last = fitted(ratings, None, phase="refit", epochs=found.best_epoch, batch_size=found.batch_size)
    held_out = [load_part(split, part, users=users, movies=movies) for part in settings.held_out_parts]
    return TrainingResult(
        recommender=Recommender(
            last.model,
            users,
            movies,
            last.rating_min,
            last.rating_max,
            history=History.of([ratings], held_out, num_users=len(users)),
            val_rmse=found.best_val_rmse,
        ),
        best_epoch=found.best_epoch,
        best_val_rmse=found.best_val_rmse,
        epochs=found.epochs,
        batch_size=found.batch_size,
        regularization=last.regularization,
        memory=last.memory,
        stopped_early=found.stopped_early,
        refit=settings.refit,
        num_ratings=len(ratings),
        seconds=time.perf_counter() - started,
    )
