"""The loop: epoch after epoch until patience ends it, from the start or from where it was left."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cfmodel.errors import DivergedError
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.divergence import IdsOf, explained
from cfmodel.training.epoch_records import OnRecord, StepProgress
from cfmodel.training.fitting import Fitting
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.resuming.adam_state import SavedAdamState
from cfmodel.training.resuming.checkpoint_policy import CheckpointPolicy
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
        adam: Adam's state beside those weights.
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
    adam: SavedAdamState
    stopped_early: bool
    rating_min: float
    rating_max: float
    seconds: float


def fit(
    plan: TrainingPlan,
    *,
    on_record: OnRecord | None = None,
    checkpoints: CheckpointPolicy | None = None,
    should_stop: ShouldStop = never,
    ids: IdsOf = lambda user, movie: (f"row {user}", f"row {movie}"),
) -> FitResult:
    """Fit a model to ratings, stopping early on val.

    Args:
        plan: What to learn from, and how.
        on_record: Takes each `EpochRecord`, `StepProgress` and the monitor's records as they are
            made; None: nobody listens, and nothing is monitored.
        checkpoints: Keeps what to resume from, and has begun with `on_record`; None: nothing is kept.
        should_stop: Asked now and then between two steps.
        ids: Names rows of users and movies as the source does, for messages.

    Raises:
        DivergedError: Loss, gradient or weights are no longer finite.
        DiskFullError, CheckpointError: The disk does not take a checkpoint.
        Interrupted: It was to stop; the state it was in then is kept, or the last good one.
    """
    if checkpoints is None:
        checkpoints = CheckpointPolicy()
        checkpoints.begin(on_record or _ignore)
    if on_record is None:
        plan = replace(plan, monitor=None)
    return _Training(plan, checkpoints, should_stop, ids).run()


@dataclass(frozen=True, eq=False)
class _Training:
    """One phase of training, with what keeps it and what may end it."""

    plan: TrainingPlan
    checkpoints: CheckpointPolicy
    should_stop: ShouldStop
    ids: IdsOf

    def run(self) -> FitResult:
        """Train until patience or the epochs are at their end."""
        kept = self.checkpoints.last
        if kept is None or kept["phase"] != self.plan.phase:
            kept = None
        fitting, rate = self._begun(kept), 1.0 if kept is None else kept["rate"]
        try:
            if kept is None:
                self._keep(fitting, rate, at_once=True)
            elif kept["before"] is not None:
                before = {**kept["before"], "best": kept["fitting"]["best"]}
                self.checkpoints.last = {**kept, "fitting": before, "before": None}
            while fitting.epoch < self.plan.epochs and not fitting.stopping.is_due:
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
            self.checkpoints.log(record)
            if isinstance(record, StepProgress) and record.fraction < 1:  # the end of the epoch is kept anyway
                self._between_steps(fitting, rate)

        with self.checkpoints.log.held() as forget:
            try:
                fitting.run_epoch(emit)
            except DivergedError as error:
                if self.plan.settings.on_diverged == "retry" and rate == 1:
                    forget()
                return error
        return None

    def _between_steps(self, fitting: Fitting, rate: float) -> None:
        """Write the state between two steps if that is due or the training is to stop; then stop it.

        Raises:
            Interrupted: It is to stop.
        """
        stop = self.should_stop()
        if self.checkpoints.is_due or stop:
            began = time.perf_counter()
            self._write_within(fitting, rate)
            fitting.leave_out(time.perf_counter() - began)
        if stop:
            raise Interrupted

    def _write_within(self, fitting: Fitting, rate: float) -> None:
        state = fitting.state_within()
        if state is None:
            self.checkpoints.write()
            return
        assert self.checkpoints.last is not None
        # A second try begins with the epoch that the first one diverged in, wherever in it this was written.
        before = (
            {**self.checkpoints.last["fitting"], "best": None} if self.plan.settings.on_diverged == "retry" else None
        )
        self.checkpoints.write_passing({"phase": self.plan.phase, "rate": rate, "fitting": state, "before": before})

    def _restored(self, error: DivergedError, *, retried: bool) -> tuple[Fitting, float]:
        """Return the training in its last good state, and the lower rate with which it goes on.

        Raises:
            DivergedError: It is not to be tried, or was tried before.
        """
        kept = self.checkpoints.last
        assert kept is not None
        if self.plan.settings.on_diverged == "retry" and not retried:
            fitting = self._begun({**kept, "rate": RETRY_RATE})
            outcome = f"the state after {fitting.position} is restored and goes on with {RETRY_RATE:g} of the rate"
            _log.warning("%s", explained(error, fitting, self.ids, outcome=outcome))
            return fitting, RETRY_RATE
        fitting = self._begun(kept)
        try:
            self.checkpoints.write()
            hint = "" if retried else "; train.on_diverged=retry would go on from there with a tenth of the rate"
            outcome = f"the state after {fitting.position} is restored{self.checkpoints.where}{hint}"
            raise explained(error, fitting, self.ids, outcome=outcome) from None
        finally:
            fitting.close()

    def _begun(self, kept: Mapping[str, Any] | None) -> Fitting:
        """Return the training as it begins, or as it was left."""
        fitting = Fitting(self.plan.at_rate(1.0 if kept is None else kept["rate"]))
        state = None if kept is None else kept["fitting"]
        try:
            if state is not None:
                fitting.restore(state)
            if self.plan.monitor is not None:
                fitting.watch(self.checkpoints.log, state=state and state["monitor"])
        except BaseException:
            fitting.close()
            raise
        return fitting

    def _keep(self, fitting: Fitting, rate: float, *, at_once: bool = False) -> None:
        state = {"phase": self.plan.phase, "rate": rate, "fitting": fitting.state(), "before": None}
        self.checkpoints.keep(state, at_once=at_once)

    def _result(self, fitting: Fitting) -> FitResult:
        if fitting.monitor is not None:
            fitting.monitor.finish()  # looks at the tables as training left them, so before the best ones come back
        model = fitting.best_model()
        if fitting.monitor is not None and self.plan.val is not None and fitting.val_rmse:
            outcome = val_outcome(
                model, self.plan.train, self.plan.val, phase=self.plan.phase, val_rmse=fitting.val_rmse
            )
            self.checkpoints.log(outcome)
        return FitResult(
            model=model,
            best_epoch=fitting.stopping.best_epoch if fitting.val else fitting.epoch,
            best_val_rmse=fitting.stopping.best_val_rmse if fitting.val else None,
            epochs=fitting.epoch,
            batch_size=self.plan.batch_size,
            regularization=self.plan.regularization,
            adam=fitting.best_adam_state(),
            stopped_early=fitting.epoch < self.plan.epochs,
            rating_min=fitting.rating_min,
            rating_max=fitting.rating_max,
            seconds=fitting.seconds,
        )


def _ignore(record: object) -> None: ...
