"""The loop: epochs, validation, the best weights."""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.data.parts import RatingArrays
from cfmodel.errors import DataError, DivergedError
from cfmodel.gradients.monitor import Monitor
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batches import Batches, DeviceRatings, Stream, default_batch_size, generator
from cfmodel.training.engines.choose import engine_for
from cfmodel.training.floors import val_outcome
from cfmodel.training.memory import AdamMemory
from cfmodel.training.records import EpochRecord, OnRecord, Phase, StepProgress
from cfmodel.training.regularization import default_regularization
from cfmodel.training.stopping import EarlyStopping
from cfmodel.training.watching import monitor_of

#: Ratings scored at a time; below the size from which torch splits a sum over threads, so that the
#: result does not depend on their number.
BLOCK = 16_384


@dataclass(frozen=True, eq=False)
class FitResult:
    """A fitted model and how it came about.

    Attributes:
        model: The weights of the best epoch; of the last one where there was no val.
        best_epoch: The epoch they are from.
        best_val_rmse: RMSE on val after it, predictions clamped, in rating units; None without val.
        epochs: Epochs that were run.
        batch_size: Ratings in a step.
        regularization: Weight of the penalty.
        memory: What Adam remembered beside those weights.
        stopped_early: Whether patience ended the training.
        rating_min: Lowest training rating, in rating units.
        rating_max: Highest training rating, in rating units.
        seconds: How long it took.
    """

    model: CollaborativeFiltering
    best_epoch: int
    best_val_rmse: float | None
    epochs: int
    batch_size: int
    regularization: float
    memory: AdamMemory
    stopped_early: bool
    rating_min: float
    rating_max: float
    seconds: float


def fit(
    train: RatingArrays,
    val: RatingArrays | None,
    *,
    num_users: int,
    num_movies: int,
    settings: TrainSettings,
    device: torch.device,
    on_record: OnRecord | None = None,
    phase: Phase = "fit",
    epochs: int | None = None,
    batch_size: int | None = None,
    monitor: MonitorSettings = MonitorSettings(),
) -> FitResult:
    """Fit a model to ratings, stopping early on val.

    Args:
        train: Ratings to learn from, rows in range.
        val: Ratings to watch, rows negative where cold; None or empty: run all epochs, keep the last.
        num_users: Rows of the user tables.
        num_movies: Rows of the movie tables.
        settings: What to learn and how; `settings.epochs` is the horizon of the schedule.
        device: Where to learn.
        on_record: Takes each `EpochRecord`, `StepProgress` and the monitor's records as they are
            made; None: nobody listens, and nothing is monitored.
        phase: What the records call this training.
        epochs: Stop after so many of `settings.epochs`; None: run them all.
        batch_size: Ratings in a step; None: as the settings say.
        monitor: How closely to watch; it changes nothing that is learned.

    Raises:
        DataError: There is no training rating.
        DivergedError: Loss, gradient or weights are no longer finite.
    """
    if len(train) == 0:
        raise DataError("train: 0 ratings, at least 1 is needed; check the split's fractions and minimum counts")
    started = time.perf_counter()
    batch_size = batch_size or settings.batch_size or default_batch_size(len(train))
    regularization = default_regularization(train) if settings.regularization is None else settings.regularization
    planned = min(epochs or settings.epochs, settings.epochs)
    model = initial_model(train, num_users=num_users, num_movies=num_movies, settings=settings).to(device)
    fitting = Fitting(model, train, val, settings=settings, batch_size=batch_size, regularization=regularization)
    if on_record is not None and monitor.enabled:
        fitting.watch(monitor, phase=phase, epochs=planned, on_record=on_record)
    val_rmse: list[float] = []
    for epoch in range(1, planned + 1):
        record = fitting.run_epoch(epoch, planned=planned, phase=phase, emit=on_record or _ignore)
        val_rmse += [] if record.val_rmse is None else [record.val_rmse]
        if fitting.stopping.is_due:
            break
    if fitting.monitor is not None:
        fitting.monitor.finish()  # looks at the tables as training left them, so before the best ones come back
    model = fitting.best_model()
    if fitting.monitor is not None and on_record is not None and val is not None and val_rmse:
        on_record(val_outcome(model, train, val, phase=phase, val_rmse=val_rmse))
    return FitResult(
        model=model,
        best_epoch=fitting.stopping.best_epoch if fitting.val else record.epoch,
        best_val_rmse=fitting.stopping.best_val_rmse if fitting.val else None,
        epochs=record.epoch,
        batch_size=batch_size,
        regularization=regularization,
        memory=fitting.best_memory(),
        stopped_early=record.epoch < planned,
        rating_min=fitting.rating_min,
        rating_max=fitting.rating_max,
        seconds=time.perf_counter() - started,
    )


class Fitting:
    """A model under training: its ratings on its device, its optimiser and its best weights so far."""

    def __init__(
        self,
        model: CollaborativeFiltering,
        train: RatingArrays,
        val: RatingArrays | None,
        *,
        settings: TrainSettings,
        batch_size: int,
        regularization: float,
    ) -> None:
        device = model.global_mean.device
        self.settings, self.regularization = settings, regularization
        self.batches = Batches(
            train,
            num_users=len(model.user_biases.weight),
            num_movies=len(model.movie_biases.weight),
            batch_size=batch_size,
            seed=settings.seed,
        )
        self.batch_size = batch_size
        self.engine = engine_for(model, train, self.batches, settings=settings, regularization=regularization)
        self.train = train
        self.val = DeviceRatings.of(val, device) if val is not None and len(val) else None
        self.rating_min, self.rating_max = float(train.rating.min()), float(train.rating.max())
        self.stopping = EarlyStopping(settings.patience)
        self.step = self.epoch = 0
        self.monitor: Monitor | None = None
        self._best_weights: dict[str, Tensor] | None = None
        self._best_memory: AdamMemory | None = None

    def watch(self, settings: MonitorSettings, *, phase: Phase, epochs: int, on_record: OnRecord) -> None:
        """Have a monitor watch the training that is about to begin."""
        self.monitor = monitor_of(
            self.engine,
            self.train,
            train_settings=self.settings,
            settings=settings,
            phase=phase,
            epochs=epochs,
            batch_size=self.batch_size,
            steps=self.batches.steps,
            regularization=self.regularization,
            on_record=on_record,
        )
        self.monitor.start()

    def run_epoch(self, epoch: int, *, planned: int, phase: Phase, emit: OnRecord) -> EpochRecord:
        """Train for one epoch, look at val, keep the weights if they are the best, and emit the record."""
        began = time.perf_counter()
        log = self.engine.run_epoch(
            epoch,
            on_progress=lambda fraction: emit(StepProgress(phase, epoch, planned, fraction)),
            monitor=self.monitor,
        )
        summary = log.summary(epoch=epoch, steps_before=self.step)
        self.step += len(log.sizes)
        self.epoch = epoch
        _require_finite(self.engine.model, epoch=epoch, step=self.step)
        trained_seconds = time.perf_counter() - began
        if self.monitor is not None:
            self.monitor.end_epoch()
        val_rmse = self._val_rmse()
        record = EpochRecord(
            phase=phase,
            epoch=epoch,
            epochs=planned,
            step=self.step,
            val_rmse=val_rmse,
            best=self._keep_if_best(epoch, val_rmse),
            learning_rate=self.engine.learning_rate,
            seconds=time.perf_counter() - began,
            ratings_per_second=len(self.train) / trained_seconds,
            **vars(summary),
        )
        emit(record)
        return record

    def best_model(self) -> CollaborativeFiltering:
        """Return the model with the weights that were best on val, as they are without val; no step may follow."""
        self.engine.close()
        if self._best_weights is not None:
            self.engine.model.load_state_dict(self._best_weights)
        return self.engine.model

    def best_memory(self) -> AdamMemory:
        """Return what Adam remembered beside the weights of `best_model`."""
        return self._best_memory or self._memory(self.epoch)

    def _memory(self, epoch: int) -> AdamMemory:
        return AdamMemory.of(
            self.engine.adam(),
            epoch=epoch,
            learning_rate=self.engine.learning_rate,
            batch_size=self.batch_size,
            regularization=self.regularization,
        )

    def _val_rmse(self) -> float | None:
        if self.val is None:
            return None
        return clamped_rmse(self.engine.model, self.val, rating_min=self.rating_min, rating_max=self.rating_max)

    def _keep_if_best(self, epoch: int, val_rmse: float | None) -> bool:
        best = val_rmse is not None and self.stopping.improves(epoch, val_rmse)
        if best:
            self._best_weights = {name: tensor.clone() for name, tensor in self.engine.model.state_dict().items()}
            self._best_memory = self._memory(epoch)
        return best


def initial_model(
    train: RatingArrays, *, num_users: int, num_movies: int, settings: TrainSettings
) -> CollaborativeFiltering:
    """Return the untrained model, its embeddings drawn from the seed's own stream for that."""
    return CollaborativeFiltering(
        num_users,
        num_movies,
        settings.embedding_dim,
        global_mean=float(np.mean(train.rating, dtype=np.float64)),
        init_std=settings.init_std,
        generator=generator(settings.seed, Stream.INITIALISATION),
    )


@torch.no_grad()
def clamped_rmse(
    model: CollaborativeFiltering, ratings: DeviceRatings, *, rating_min: float, rating_max: float
) -> float:
    """Return the root mean squared error of clamped predictions, in rating units; rows may be cold."""
    squares = []
    for batch in ratings.batches(BLOCK):
        predictions = model.score(batch.user_idx, batch.movie_idx).clamp(rating_min, rating_max)
        squares.append((batch.rating - predictions).double().square().sum())
    return math.sqrt(float(torch.stack(squares).sum()) / len(ratings))


def _require_finite(model: CollaborativeFiltering, *, epoch: int, step: int) -> None:
    if all(bool(table.isfinite().all()) for table in model.parameters()):
        return
    raise DivergedError(f"epoch {epoch}: a weight is not finite after step {step:,}; lower train.learning_rate")


def _ignore(record: object) -> None: ...
