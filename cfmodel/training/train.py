"""From a split to a recommender: load, fit, refit."""

import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any, Self

import torch

from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.data.splitting.parts import RatingArrays, concatenate, load_part, load_vocabularies
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.rated import History
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef
from cfmodel.training.epoch_records import OnRecord
from cfmodel.training.fit import FitResult, fit
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.resuming.adam_state import SavedAdamState
from cfmodel.training.resuming.checkpoint_policy import CheckpointPolicy
from cfmodel.training.resuming.interrupts import heard_between_steps, never


@dataclass(frozen=True)
class FitSummary:
    """What the refit needs to know of the fit; see `FitResult`."""

    best_epoch: int
    best_val_rmse: float | None
    epochs: int
    batch_size: int
    stopped_early: bool

    @classmethod
    def of(cls, result: FitResult) -> Self:
        """Take it from the fit's result."""
        return cls(**{field.name: getattr(result, field.name) for field in fields(cls)})


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
        adam: Adam's state at the end of that training.
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
    adam: SavedAdamState
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
    checkpoints: CheckpointPolicy | None = None,
    model: type[CollaborativeFiltering] = CollaborativeFiltering,
) -> TrainingResult:
    """Train a recommender on a split's train part, choosing the epoch on its val part.

    With `settings.refit` the recommender is trained once more from scratch, on train and val
    together with a vocabulary of both, for the number of epochs so chosen: same seed, same batch
    size, same schedule.

    Both are watched by a monitor as `monitor` says, if there is an `on_record` to take what it sees.

    With a `checkpoints` that has a folder, training goes on from the newest good checkpoint there, and
    SIGTERM and Ctrl+C wait until the last good state is on disk.

    Args:
        split: What to learn from.
        settings: How.
        device: Where to learn.
        on_record: Takes the records of both trainings; see `fit`.
        monitor: How closely to watch.
        checkpoints: Keeps checkpoints; None: in memory alone.
        model: Class of the model.

    Raises:
        CheckpointError: The checkpoints are of another training, or the disk does not take one.
        DiskFullError: There is no room for a checkpoint.
        DataError: The train part is empty.
        DigestError: A part is not the one the ref names.
        DivergedError: Loss, gradient or weights are no longer finite.
    """
    started = time.perf_counter()
    checkpoints = checkpoints or CheckpointPolicy()
    checkpoints.begin(on_record or _ignore)
    how = partial(
        _fitted, on_record=on_record, checkpoints=checkpoints, settings=settings, device=device, monitor=monitor,
        model=model,
    )  # fmt: skip
    found = _found_before(checkpoints) if settings.refit else None
    if found is None:
        users, movies = load_vocabularies(split)
        ratings, val = (_loaded(split, part, users, movies) for part in ("train", "val"))
        last = how(ratings, val, users, movies)
        found = FitSummary.of(last)
        if settings.refit:
            # Both trainings' ratings and tables at once would take nearly twice the memory.
            del ratings, val, last
    if settings.refit:
        checkpoints.carry(asdict(found))
        users, movies = load_vocabularies(split, parts=("train", "val"))
        ratings = concatenate(*(_loaded(split, part, users, movies) for part in ("train", "val")))
        last = how(ratings, None, users, movies, phase="refit", epochs=found.best_epoch, batch_size=found.batch_size)
    held_out = [_loaded(split, part, users, movies) for part in settings.held_out_parts]
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
        adam=last.adam,
        stopped_early=found.stopped_early,
        refit=settings.refit,
        num_ratings=len(ratings),
        seconds=time.perf_counter() - started,
    )


def _loaded(split: SplitRef, part: str, users: Vocabulary, movies: Vocabulary) -> RatingArrays:
    """Read a part of a split without its timestamps, from which nothing is learned."""
    return load_part(split, part, users=users, movies=movies, timestamps=False)


def _found_before(checkpoints: CheckpointPolicy) -> FitSummary | None:
    """Return what the fit found, if a checkpoint says that it is over."""
    return FitSummary(**checkpoints.carried) if checkpoints.carried is not None else None


def _fitted(
    ratings: RatingArrays,
    val: RatingArrays | None,
    users: Vocabulary,
    movies: Vocabulary,
    *,
    on_record: OnRecord | None,
    checkpoints: CheckpointPolicy,
    **how: Any,
) -> FitResult:
    """Fit, with signals heard between steps where there are checkpoints to resume from."""

    def ids(user: int, movie: int) -> tuple[str, str]:
        return users.decode([user])[0], movies.decode([movie])[0]

    plan = TrainingPlan.of(ratings, val, num_users=len(users), num_movies=len(movies), **how)
    with heard_between_steps() if checkpoints.is_on_disk else nullcontext(never) as should_stop:
        return fit(plan, on_record=on_record, checkpoints=checkpoints, should_stop=should_stop, ids=ids)


def _ignore(record: object) -> None: ...
