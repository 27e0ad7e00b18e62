"""The training loop of one phase, with early stopping, checkpoints and one retry after a divergence."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cfmodel.errors import DivergedError
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.divergence import IdsOf, explain_divergence
from cfmodel.training.epoch_records import OnRecord, StepProgress
from cfmodel.training.fitting import Fitting
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.planning.prior import Penalty
from cfmodel.training.resuming.adam_state import SavedAdamState
from cfmodel.training.resuming.checkpoint_policy import CheckpointPolicy
from cfmodel.training.resuming.interrupts import Interrupted, ShouldStop, never_stop
from cfmodel.training.val_outcome import val_outcome

#: Factor of the learning rate in the retry after a divergence.
RETRY_FACTOR = 0.1

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FitResult:
    """The result of one phase of training.

    Attributes:
        model: The model with the weights of the best epoch, or of the last one without val.
        best_epoch: That epoch.
        best_val_rmse: RMSE on val after it, predictions clamped, in rating units; None without val.
        epochs: Epochs that were run.
        batch_size: Ratings in a step.
        penalty: Strengths of the penalty.
        adam: Adam's state at the end of the best epoch.
        stopped_early: Whether early stopping ended the training.
        rating_min: Lowest training rating, in rating units.
        rating_max: Highest training rating, in rating units.
        seconds: Duration of the epochs.
    """

    model: CollaborativeFiltering
    best_epoch: int
    best_val_rmse: float | None
    epochs: int
    batch_size: int
    penalty: Penalty
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
    should_stop: ShouldStop = never_stop,
    ids: IdsOf = lambda user, movie: (f"row {user}", f"row {movie}"),
) -> FitResult:
    """Run one phase of training, with early stopping on val.

    Args:
        plan: The plan of the phase.
        on_record: Receives each `EpochRecord`, `StepProgress` and record of the monitor; None: there are no
            records and no monitor.
        checkpoints: Writes checkpoints; its `begin` must have been called with `on_record`. None: no checkpoints.
        should_stop: Called about twenty times an epoch, between two steps.
        ids: Returns the ids of a user's and a movie's row, for messages.

    Raises:
        DivergedError: A loss, gradient or weight is not finite.
        DiskFullError, CheckpointError: A checkpoint cannot be written.
        Interrupted: `should_stop` returned True; a checkpoint of the current state, or the last good one, is written.
    """
    if checkpoints is None:
        checkpoints = CheckpointPolicy()
        checkpoints.begin(on_record)
    if on_record is None:
        plan = replace(plan, monitor=None)
    return _Training(plan, checkpoints, should_stop, ids).run()


@dataclass(frozen=True, eq=False)
class _Training:
    """One phase of training."""

    plan: TrainingPlan
    checkpoints: CheckpointPolicy
    should_stop: ShouldStop
    ids: IdsOf

    def run(self) -> FitResult:
        """Train until early stopping or the last epoch."""
        saved = self.checkpoints.last
        if saved is None or saved["phase"] != self.plan.phase:
            saved = None
        fitting, rate = self._build_fitting(saved), 1.0 if saved is None else saved["rate"]
        try:
            if saved is None:
                fitting.start(self.checkpoints.records)
                self._save(fitting, rate, at_once=True)
            elif saved["before"] is not None:
                before = {**saved["before"], "best": saved["fitting"]["best"]}
                self.checkpoints.last = {**saved, "fitting": before, "before": None}
            while fitting.epoch < self.plan.epochs and not fitting.stopping.is_due:
                if (error := self._run_epoch(fitting, rate)) is not None:
                    fitting.close()
                    fitting, rate = self._restore(error, retried=rate < 1)
                    continue
                stop = self.should_stop()
                self._save(fitting, rate, at_once=stop)
                if stop:
                    raise Interrupted
            return self._result(fitting)
        finally:
            fitting.close()

    def _run_epoch(self, fitting: Fitting, rate: float) -> DivergedError | None:
        """Run one epoch, or the rest of one; return the error if it diverged."""

        def emit(record: Any) -> None:
            self.checkpoints.records(record)
            if isinstance(record, StepProgress) and record.fraction < 1:  # the end of the epoch is saved anyway
                self._between_steps(fitting, rate)

        with self.checkpoints.records.deferred() as discard:
            try:
                fitting.run_epoch(emit)
            except DivergedError as error:
                if self.plan.settings.on_diverged == "retry" and rate == 1:
                    discard()
                return error
        return None

    def _between_steps(self, fitting: Fitting, rate: float) -> None:
        """Write a checkpoint between two steps if one is due or training must stop.

        Raises:
            Interrupted: Training must stop.
        """
        stop = self.should_stop()
        if self.checkpoints.is_due or stop:
            began = time.perf_counter()
            self._write_within(fitting, rate)
            fitting.exclude_seconds(time.perf_counter() - began)
        if stop:
            raise Interrupted

    def _write_within(self, fitting: Fitting, rate: float) -> None:
        state = fitting.state_within_epoch()
        if state is None:
            self.checkpoints.write()
            return
        assert self.checkpoints.last is not None
        # A retry begins with the whole epoch that diverged, wherever in it this checkpoint is.
        before = (
            {**self.checkpoints.last["fitting"], "best": None} if self.plan.settings.on_diverged == "retry" else None
        )
        self.checkpoints.write_within_epoch(
            {"phase": self.plan.phase, "rate": rate, "fitting": state, "before": before}
        )

    def _restore(self, error: DivergedError, *, retried: bool) -> tuple[Fitting, float]:
        """Return the training in its last good state, and the lower rate of the retry.

        Raises:
            DivergedError: The settings allow no retry, or this was the retry.
        """
        saved = self.checkpoints.last
        assert saved is not None
        if self.plan.settings.on_diverged == "retry" and not retried:
            fitting = self._build_fitting({**saved, "rate": RETRY_FACTOR})
            outcome = f"retrying from the state after {fitting.position} with {RETRY_FACTOR:g} of the learning rate"
            _log.warning("%s", explain_divergence(error, fitting, self.ids, outcome=outcome))
            return fitting, RETRY_FACTOR
        fitting = self._build_fitting(saved)
        try:
            self.checkpoints.write()
            hint = "" if retried else "; train.on_diverged=retry would resume from there with a tenth of the rate"
            outcome = f"the state after {fitting.position} is restored{self.checkpoints.where}{hint}"
            raise explain_divergence(error, fitting, self.ids, outcome=outcome) from None
        finally:
            fitting.close()

    def _build_fitting(self, saved: Mapping[str, Any] | None) -> Fitting:
        """Return a new training, or one in a saved state."""
        fitting = Fitting(self.plan.at_rate(1.0 if saved is None else saved["rate"]))
        state = None if saved is None else saved["fitting"]
        try:
            if state is not None:
                fitting.restore(state)
            if self.plan.monitor is not None:
                fitting.start_monitor(self.checkpoints.records, state=state and state["monitor"])
        except BaseException:
            fitting.close()
            raise
        return fitting

    def _save(self, fitting: Fitting, rate: float, *, at_once: bool = False) -> None:
        state = {"phase": self.plan.phase, "rate": rate, "fitting": fitting.state(), "before": None}
        self.checkpoints.save(state, at_once=at_once)

    def _result(self, fitting: Fitting) -> FitResult:
        if fitting.monitor is not None:
            fitting.monitor.finish()  # measures the last tables, so before the best ones are loaded
        model = fitting.best_model()
        if fitting.monitor is not None and self.plan.val is not None and fitting.val_rmse:
            outcome = val_outcome(
                model,
                self.plan.train,
                self.plan.val,
                phase=self.plan.phase,
                val_rmse=fitting.val_rmse,
                rating_std=self.plan.scale.std,
                start_rmse=fitting.start_rmse,
            )
            self.checkpoints.records(outcome)
        return FitResult(
            model=model,
            best_epoch=fitting.stopping.best_epoch if fitting.val else fitting.epoch,
            best_val_rmse=fitting.stopping.best_val_rmse if fitting.val else None,
            epochs=fitting.epoch,
            batch_size=self.plan.batch_size,
            penalty=self.plan.penalty,
            adam=fitting.best_adam_state(),
            stopped_early=fitting.epoch < self.plan.epochs,
            rating_min=self.plan.rating_range[0],
            rating_max=self.plan.rating_range[1],
            seconds=fitting.seconds,
        )
