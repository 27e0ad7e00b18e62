"""Training of a recommender on a split: load, fit, refit."""

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
from cfmodel.training.planning.prior import Penalty
from cfmodel.training.resuming.adam_state import SavedAdamState
from cfmodel.training.resuming.checkpoint_policy import CheckpointPolicy
from cfmodel.training.resuming.interrupts import defer_signals, never_stop


@dataclass(frozen=True)
class FitSummary:
    """The part of the fit's result that the refit needs; see `FitResult`."""

    best_epoch: int
    best_val_rmse: float | None
    epochs: int
    batch_size: int
    stopped_early: bool

    @classmethod
    def of(cls, result: FitResult) -> Self:
        """Return the summary of the fit's result."""
        return cls(**{field.name: getattr(result, field.name) for field in fields(cls)})


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """A trained recommender and facts about its training.

    Attributes:
        recommender: The model of the best epoch, or of the refit, with its vocabularies.
        best_epoch: Epoch with the lowest val RMSE; also the number of epochs of the refit.
        best_val_rmse: That RMSE, in rating units; None if val has no rating.
        epochs: Epochs of the fit.
        batch_size: Ratings in a step.
        penalty: Strengths of the penalty in the phase that trained the recommender.
        adam: Adam's state at the end of that phase.
        stopped_early: Whether early stopping ended the fit.
        refit: Whether the recommender was trained again on train and val together.
        num_ratings: Training ratings of the recommender.
        seconds: Duration, loading included.
    """

    recommender: Recommender
    best_epoch: int
    best_val_rmse: float | None
    epochs: int
    batch_size: int
    penalty: Penalty
    adam: SavedAdamState
    stopped_early: bool
    refit: bool
    num_ratings: int
    seconds: float

    def summary(self) -> dict[str, float]:
        """Return the numbers to compare across runs, by metric key."""
        return {
            "train/batch_size": self.batch_size,
            **{f"train/{side}_bias_pull": pull for side, pull in self.penalty.bias.items()},
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
    """Train a recommender on a split's train part, with the number of epochs chosen on its val part.

    With `settings.refit` the recommender is trained again from scratch, on train and val together with a
    vocabulary of both, for that number of epochs: same seed, same batch size, same schedule. Both phases are
    monitored if there is an `on_record`.

    With `checkpoints` on disk, training resumes from the newest good one, and SIGTERM and Ctrl+C take effect
    only once the last good state is written.

    Args:
        split: The split.
        settings: Training settings.
        device: Where to train.
        on_record: Receives the records of both phases; see `fit`.
        monitor: Settings of the monitor.
        checkpoints: Writes checkpoints; None: the last good state is in memory alone.
        model: Class of the model.

    Raises:
        CheckpointError: The checkpoints belong to another training, or one cannot be written.
        DiskFullError: The disk is full.
        DataError: The train part is empty.
        DigestError: A part has another digest than the ref says.
        DivergedError: A loss, gradient or weight is not finite.
    """
    started = time.perf_counter()
    checkpoints = checkpoints or CheckpointPolicy()
    checkpoints.begin(on_record)
    run_phase = partial(
        _run_phase, on_record=on_record, checkpoints=checkpoints, settings=settings, device=device, monitor=monitor,
        model=model,
    )  # fmt: skip
    carried = checkpoints.carried if settings.refit else None
    if carried is not None:
        fitted = FitSummary(**carried)
    else:
        users, movies = load_vocabularies(split)
        last, trained = run_phase([_load(split, part, users, movies) for part in ("train", "val")], users, movies)
        fitted = FitSummary.of(last)
        if settings.refit:
            # Ratings and tables of both phases at once would take nearly twice the memory.
            del trained, last
    if settings.refit:
        checkpoints.carry(asdict(fitted))
        users, movies = load_vocabularies(split, parts=("train", "val"))
        together = [concatenate(*(_load(split, part, users, movies) for part in ("train", "val"))), None]
        last, trained = run_phase(
            together, users, movies, phase="refit", epochs=fitted.best_epoch, batch_size=fitted.batch_size
        )
    held_out = [_load(split, part, users, movies) for part in settings.held_out_parts]
    return TrainingResult(
        recommender=Recommender(
            last.model,
            users,
            movies,
            last.rating_min,
            last.rating_max,
            history=History.of([trained], held_out, num_users=len(users)),
            val_rmse=fitted.best_val_rmse,
        ),
        best_epoch=fitted.best_epoch,
        best_val_rmse=fitted.best_val_rmse,
        epochs=fitted.epochs,
        batch_size=fitted.batch_size,
        penalty=last.penalty,
        adam=last.adam,
        stopped_early=fitted.stopped_early,
        refit=settings.refit,
        num_ratings=len(trained),
        seconds=time.perf_counter() - started,
    )


def _load(split: SplitRef, part: str, users: Vocabulary, movies: Vocabulary) -> RatingArrays:
    """Load a part of a split without its timestamps, which training does not use."""
    return load_part(split, part, users=users, movies=movies, timestamps=False)


def _run_phase(
    parts: list[RatingArrays | None],
    users: Vocabulary,
    movies: Vocabulary,
    *,
    on_record: OnRecord | None,
    checkpoints: CheckpointPolicy,
    **how: Any,
) -> tuple[FitResult, RatingArrays]:
    """Run one phase; with checkpoints on disk, signals wait for the end of a step.

    Args:
        parts: Training and validation ratings; emptied, as the plan has them standardized, in half the memory.

    Returns:
        The result, and the training ratings, standardized.
    """

    def ids(user: int, movie: int) -> tuple[str, str]:
        return users.decode([user])[0], movies.decode([movie])[0]

    val, ratings = parts.pop(), parts.pop()
    assert ratings is not None
    plan = TrainingPlan.of(ratings, val, num_users=len(users), num_movies=len(movies), **how)
    del ratings, val
    with defer_signals() if checkpoints.is_on_disk else nullcontext(never_stop) as should_stop:
        result = fit(plan, on_record=on_record, checkpoints=checkpoints, should_stop=should_stop, ids=ids)
    return result, plan.train
