"""A model under training: epochs, validation, the best weights, and the state to go on from."""

import math
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from cfmodel.errors import DivergedError
from cfmodel.gradients.measuring.monitor import Monitor
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import DeviceRatings
from cfmodel.training.engines.base import AdamState
from cfmodel.training.engines.choose import engine_for
from cfmodel.training.epoch_records import EpochRecord, OnRecord, StepProgress
from cfmodel.training.monitor_setup import monitor_of
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.resuming.adam_state import SavedAdamState, copied
from cfmodel.training.resuming.record_replay import packed, unpacked
from cfmodel.training.step_log import NO_STEPS, StepLog
from cfmodel.training.stopping import EarlyStopping

#: Ratings scored at a time; below the size from which torch splits a sum over threads, so that the
#: result does not depend on their number.
BLOCK = 16_384


class Fitting:
    """A model under training: its ratings, the engine that trains it, and its best weights so far.

    Attributes:
        epoch: Epochs done.
        step: Updates done in them.
        val_rmse: RMSE on val after each epoch, if there is a val.
        seconds: How long those epochs took, val included.
    """

    def __init__(self, plan: TrainingPlan) -> None:
        self.plan, self.train, val = plan, plan.train, plan.val
        self.batches = plan.batches()
        self.engine = engine_for(plan.initial_model(), self.batches, plan)
        self.val = DeviceRatings.of(val, plan.device) if val is not None and len(val) else None
        self.rating_min, self.rating_max = float(self.train.rating.min()), float(self.train.rating.max())
        self.stopping = EarlyStopping(plan.settings.patience)
        self.epoch = self.step = 0
        self.val_rmse: list[float] = []
        self.seconds = 0.0
        self.monitor: Monitor | None = None
        #: What the steps saw, and the seconds they took, that were done of the epoch to come before it was left.
        self._after, self._seconds_before = NO_STEPS, 0.0
        self._began = 0.0
        self._best_weights: dict[str, Tensor] | None = None
        self._best_adam: SavedAdamState | None = None
        self._kept: dict[str, dict[str, Tensor]] | None = None
        self._closed = False

    def watch(self, on_record: OnRecord, *, state: Mapping[str, Any] | None = None) -> None:
        """Have a monitor watch the training that is about to begin, or that resumes from a monitor's state."""
        self.monitor = monitor_of(self.engine, self.plan, steps=self.batches.steps, on_record=on_record)
        if state is None:
            self.monitor.start()
        else:
            self.monitor.load_state_dict({**state, "taken": list(unpacked(state["taken"]))})

    @property
    def position(self) -> str:
        """How far it is, for a sentence."""
        within = f" and {len(self._after):,} steps of the next" if len(self._after) else ""
        return f"epoch {self.epoch}{within}"

    def run_epoch(self, emit: OnRecord) -> EpochRecord:
        """Train to the end of one more epoch, look at val, keep the weights if they are the best, emit the record.

        While `emit` has a `StepProgress` of less than the whole epoch, `state_within` may be asked for.

        Raises:
            DivergedError: Loss, gradient or weights are no longer finite; this object is of no more use then.
        """
        phase, planned = self.plan.phase, self.plan.epochs
        epoch, self._began = self.epoch + 1, time.perf_counter() - self._seconds_before
        log = self.engine.run_epoch(
            epoch,
            on_progress=lambda fraction: emit(StepProgress(phase, epoch, planned, fraction)),
            monitor=self.monitor,
            after=self._after,
        )
        self._after, self._seconds_before = NO_STEPS, 0.0
        summary = log.summary(epoch=epoch, steps_before=self.step)
        self.epoch, self.step = epoch, self.step + len(log)
        _require_finite(self.engine.model, epoch=epoch, step=self.step)
        trained_seconds = time.perf_counter() - self._began
        if self.monitor is not None:
            self.monitor.end_epoch()
        val_rmse = self._val_rmse()
        self.val_rmse += [] if val_rmse is None else [val_rmse]
        seconds = time.perf_counter() - self._began
        self.seconds += seconds
        record = EpochRecord(
            phase=phase,
            epoch=epoch,
            epochs=planned,
            step=self.step,
            val_rmse=val_rmse,
            best=self._keep_if_best(epoch, val_rmse),
            learning_rate=self.engine.learning_rate,
            seconds=seconds,
            ratings_per_second=len(self.train) / trained_seconds,
            **vars(summary),
        )
        emit(record)
        return record

    def state(self) -> dict[str, Any]:
        """Return, between two epochs, all that another one, given the same ratings and settings, needs to go on.

        It goes on as this one would. The tensors are copies, which the next call overwrites. Before the first
        epoch there are none of the model: it is drawn anew.
        """
        return self._state(now=self._now(copies=True) if self.epoch else None, within=None)

    def state_within(self) -> dict[str, Any] | None:
        """Return the same between two steps of an epoch; None where there is nothing good to go on from.

        That is: a number is not finite, or the monitor is still timing steps to choose how often to look. The
        tensors are the engine's own and change with the next step.
        """
        if self.monitor is not None and self.monitor.is_calibrating:
            return None
        log = self.engine.log()
        if not (log.is_finite and _is_finite(self.engine.model)):
            return None
        within = {
            "log": {name: torch.from_numpy(array) for name, array in log.arrays().items()},
            "seconds": time.perf_counter() - self._began,
        }
        return self._state(now=self._now(copies=False), within=within)

    def leave_out(self, seconds: float) -> None:
        """Do not count these as the epoch's."""
        self._began += seconds

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state that `state` returned, but for the monitor's; see `watch` for that."""
        self.epoch, self.step = state["epoch"], state["step"]
        self.val_rmse, self.seconds = list(state["val_rmse"]), state["seconds"]
        self.stopping = EarlyStopping(**state["stopping"])
        if (now := state["now"]) is not None:
            self.engine.model.load_state_dict(now["weights"])
            self.engine.resume(AdamState(now["adam_step"], now["first_moments"], now["second_moments"]))
        if (within := state["within"]) is not None:
            self._after = StepLog.of(
                {name: column.numpy() for name, column in within["log"].items()}, self.engine.model.table_names()
            )
            self._seconds_before = within["seconds"]
        if (best := state["best"]) is not None:
            self._best_weights, self._best_adam = best["weights"], SavedAdamState(**best["memory"])

    def close(self) -> None:
        """Let go of the engine's threads; no step may follow."""
        if not self._closed:
            self._closed = True
            self.engine.close()

    def best_model(self) -> CollaborativeFiltering:
        """Return the model with the weights that were best on val, as they are without val; no step may follow."""
        self.close()
        if self._best_weights is not None:
            self.engine.model.load_state_dict(self._best_weights)
        return self.engine.model

    def best_adam_state(self) -> SavedAdamState:
        """Return what Adam remembered beside the weights of `best_model`."""
        return self._best_adam or self._adam_state(self.epoch)

    def _state(self, *, now: dict[str, Any] | None, within: dict[str, Any] | None) -> dict[str, Any]:
        monitor = None if self.monitor is None else self.monitor.state_dict()
        return {
            "epoch": self.epoch,
            "step": self.step,
            "val_rmse": list(self.val_rmse),
            "seconds": self.seconds,
            "stopping": asdict(self.stopping),
            "monitor": monitor and {**monitor, "taken": packed(monitor["taken"])},
            "now": now,
            "within": within,
            "best": self._best_adam and {"weights": self._best_weights, "memory": vars(self._best_adam)},
        }

    def _now(self, *, copies: bool) -> dict[str, Any]:
        adam = self.engine.adam()
        tables = {
            "weights": self.engine.model.state_dict(),
            "first_moments": adam.first_moments,
            "second_moments": adam.second_moments,
        }
        return {**(self._copied(tables) if copies else tables), "adam_step": adam.step}

    def _copied(self, tables: Mapping[str, dict[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
        if self._kept is None:
            self._kept = {kind: copied(each) for kind, each in tables.items()}
        else:  # into memory that is there already, which takes a third of the time
            for kind, each in tables.items():
                for name, table in each.items():
                    self._kept[kind][name].copy_(table)
        return self._kept

    def _adam_state(self, epoch: int) -> SavedAdamState:
        return SavedAdamState.of(
            self.engine.adam(),
            epoch=epoch,
            learning_rate=self.engine.learning_rate,
            batch_size=self.plan.batch_size,
            blocks=self.batches.blocks,
            regularization=self.plan.regularization,
        )

    def _val_rmse(self) -> float | None:
        if self.val is None:
            return None
        return clamped_rmse(self.engine.model, self.val, rating_min=self.rating_min, rating_max=self.rating_max)

    def _keep_if_best(self, epoch: int, val_rmse: float | None) -> bool:
        best = val_rmse is not None and self.stopping.improves(epoch, val_rmse)
        if best:
            self._best_weights = copied(self.engine.model.state_dict())
            self._best_adam = self._adam_state(epoch)
        return best


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


def _is_finite(model: CollaborativeFiltering) -> bool:
    # A sum is finite only if all it adds up is, and takes a tenth of the time; it may also overflow.
    return all(bool(table.sum().isfinite() or table.isfinite().all()) for table in model.parameters())


def _require_finite(model: CollaborativeFiltering, *, epoch: int, step: int) -> None:
    if _is_finite(model):
        return
    raise DivergedError(
        f"epoch {epoch}: a weight is not finite after step {step:,}; lower train.learning_rate", step=step
    )
