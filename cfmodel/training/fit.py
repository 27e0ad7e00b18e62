"""The loop: epoch after epoch until patience ends it, from the start or from where it was left."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import DataError, DivergedError
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import Stream, default_batch_size, generator
from cfmodel.training.batching.row_counts import RowCounts
from cfmodel.training.divergence import IdsOf, explained
from cfmodel.training.epoch_records import OnRecord, Phase, StepProgress
from cfmodel.training.fitting import Fitting
from cfmodel.training.regularization import default_regularization
from cfmodel.training.resuming.adam_state import AdamMemory
from cfmodel.training.resuming.checkpoint_policy import Keeper
from cfmodel.training.resuming.interrupts import Interrupted, ShouldStop, never
from cfmodel.training.val_outcome import val_outcome

#: What the learning rate is multiplied by where a training that diverged is tried again.
RETRY_RATE = 0.1

_log = logging.getLogger(__name__)


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
    keeper: Keeper | None = None,
    should_stop: ShouldStop = never,
    ids: IdsOf = lambda user, movie: (f"row {user}", f"row {movie}"),
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
        keeper: Keeps what to go on from, and has begun with `on_record`; None: nothing is kept.
        should_stop: Asked now and then between two steps.
        ids: Names rows of users and movies as the source does, for messages.

    Raises:
        DataError: There is no training rating.
        DivergedError: Loss, gradient or weights are no longer finite.
        DiskFullError, CheckpointError: The disk does not take a checkpoint.
        Interrupted: It was to stop; the state it was in then is kept, or the last good one.
    """
    if len(train) == 0:
        raise DataError("train: 0 ratings, at least 1 is needed; check the split's fractions and minimum counts")
    settings = settings.for_rows(num_users + num_movies)
    if keeper is None:
        keeper = Keeper()
        keeper.begin(on_record or _ignore)
    counts = RowCounts.of(train, num_users=num_users, num_movies=num_movies)
    training = _Training(
        train,
        val,
        counts,
        sizes=(num_users, num_movies),
        settings=settings,
        device=device,
        phase=phase,
        epochs=min(epochs or settings.epochs, settings.epochs),
        batch_size=batch_size or settings.batch_size or default_batch_size(len(train)),
        regularization=(
            default_regularization(train, counts) if settings.regularization is None else settings.regularization
        ),
        monitor=monitor if on_record is not None and monitor.enabled else None,
        keeper=keeper,
        should_stop=should_stop,
        ids=ids,
    )
    return training.run()


@dataclass(frozen=True, eq=False)
class _Training:
    """One phase of training: what `fit` was given, defaults resolved."""

    train: RatingArrays
    val: RatingArrays | None
    counts: RowCounts
    sizes: tuple[int, int]
    settings: TrainSettings
    device: torch.device
    phase: Phase
    epochs: int
    batch_size: int
    regularization: float
    monitor: MonitorSettings | None
    keeper: Keeper
    should_stop: ShouldStop
    ids: IdsOf

    def run(self) -> FitResult:
        """Train until patience or the epochs are at their end."""
        kept = self.keeper.last
        if kept is None or kept["phase"] != self.phase:
            kept = None
        fitting, rate = self._begun(kept), 1.0 if kept is None else kept["rate"]
        try:
            if kept is None:
                self._keep(fitting, rate, at_once=True)
            elif kept["before"] is not None:
                before = {**kept["before"], "best": kept["fitting"]["best"]}
                self.keeper.last = {**kept, "fitting": before, "before": None}
            while fitting.epoch < self.epochs and not fitting.stopping.is_due:
                if (error := self._epoch(fitting, rate)) is not None:
                    fitting.close()
                    fitting, rate = self._restored(error, retried=rate < 1)
                    continue
                stop = self.should_stop()
                self._keep(fitting, rate, at_once=stop)
                if stop:
                    raise Interrupted
            return self._result(fitting)
        finally:
            fitting.close()

    def _epoch(self, fitting: Fitting, rate: float) -> DivergedError | None:
        """Run one epoch, or the rest of one; return what it diverged in, if it did."""

        def emit(record: Any) -> None:
            self.keeper.log(record)
            if isinstance(record, StepProgress) and record.fraction < 1:  # the end of the epoch is kept anyway
                self._between_steps(fitting, rate)

        with self.keeper.log.held() as forget:
            try:
                fitting.run_epoch(planned=self.epochs, phase=self.phase, emit=emit)
            except DivergedError as error:
                if self.settings.on_diverged == "retry" and rate == 1:
                    forget()
                return error
        return None

    def _between_steps(self, fitting: Fitting, rate: float) -> None:
        """Write the state between two steps if that is due or the training is to stop; then stop it.

        Raises:
            Interrupted: It is to stop.
        """
        stop = self.should_stop()
        if self.keeper.is_due or stop:
            began = time.perf_counter()
            self._write_within(fitting, rate)
            fitting.leave_out(time.perf_counter() - began)
        if stop:
            raise Interrupted

    def _write_within(self, fitting: Fitting, rate: float) -> None:
        state = fitting.state_within()
        if state is None:
            self.keeper.write()
            return
        assert self.keeper.last is not None
        # A second try begins with the epoch that the first one diverged in, wherever in it this was written.
        before = {**self.keeper.last["fitting"], "best": None} if self.settings.on_diverged == "retry" else None
        self.keeper.write_passing({"phase": self.phase, "rate": rate, "fitting": state, "before": before})

    def _restored(self, error: DivergedError, *, retried: bool) -> tuple[Fitting, float]:
        """Return the training in its last good state, and the lower rate with which it goes on.

        Raises:
            DivergedError: It is not to be tried, or was tried before.
        """
        kept = self.keeper.last
        assert kept is not None
        if self.settings.on_diverged == "retry" and not retried:
            fitting = self._begun({**kept, "rate": RETRY_RATE})
            outcome = f"the state after {fitting.position} is restored and goes on with {RETRY_RATE:g} of the rate"
            _log.warning("%s", explained(error, fitting, self.ids, outcome=outcome))
            return fitting, RETRY_RATE
        fitting = self._begun(kept)
        try:
            self.keeper.write()
            hint = "" if retried else "; train.on_diverged=retry would go on from there with a tenth of the rate"
            outcome = f"the state after {fitting.position} is restored{self.keeper.where}{hint}"
            raise explained(error, fitting, self.ids, outcome=outcome) from None
        finally:
            fitting.close()

    def _begun(self, kept: Mapping[str, Any] | None) -> Fitting:
        """Return the training as it begins, or as it was left."""
        rate = 1.0 if kept is None else kept["rate"]
        settings = self.settings.model_copy(update={"learning_rate": self.settings.learning_rate * rate})
        users, movies = self.sizes
        model = initial_model(self.train, num_users=users, num_movies=movies, settings=settings).to(self.device)
        fitting = Fitting(
            model,
            self.train,
            self.val,
            settings=settings,
            batch_size=self.batch_size,
            regularization=self.regularization,
            counts=self.counts,
        )
        state = None if kept is None else kept["fitting"]
        try:
            if state is not None:
                fitting.restore(state)
            if self.monitor is not None:
                watched, log = state and state["monitor"], self.keeper.log
                fitting.watch(self.monitor, phase=self.phase, epochs=self.epochs, on_record=log, state=watched)
        except BaseException:
            fitting.close()
            raise
        return fitting

    def _keep(self, fitting: Fitting, rate: float, *, at_once: bool = False) -> None:
        state = {"phase": self.phase, "rate": rate, "fitting": fitting.state(), "before": None}
        self.keeper.keep(state, at_once=at_once)

    def _result(self, fitting: Fitting) -> FitResult:
        if fitting.monitor is not None:
            fitting.monitor.finish()  # looks at the tables as training left them, so before the best ones come back
        model = fitting.best_model()
        if fitting.monitor is not None and self.val is not None and fitting.val_rmse:
            outcome = val_outcome(model, self.train, self.val, phase=self.phase, val_rmse=fitting.val_rmse)
            self.keeper.log(outcome)
        return FitResult(
            model=model,
            best_epoch=fitting.stopping.best_epoch if fitting.val else fitting.epoch,
            best_val_rmse=fitting.stopping.best_val_rmse if fitting.val else None,
            epochs=fitting.epoch,
            batch_size=self.batch_size,
            regularization=self.regularization,
            memory=fitting.best_memory(),
            stopped_early=fitting.epoch < self.epochs,
            rating_min=fitting.rating_min,
            rating_max=fitting.rating_max,
            seconds=fitting.seconds,
        )


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


def _ignore(record: object) -> None: ...
