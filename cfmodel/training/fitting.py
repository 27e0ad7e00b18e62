"""A model in training: epochs, validation, the best weights, and the state to resume from."""

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
from cfmodel.training.engines.choose import engine_for
from cfmodel.training.engines.protocol import AdamState
from cfmodel.training.engines.step_log import NO_STEPS, StepLog
from cfmodel.training.epoch_records import EpochRecord, OnRecord, StartRecord, StepProgress
from cfmodel.training.monitor_setup import build_monitor
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.resuming.adam_state import SavedAdamState, clone_tables
from cfmodel.training.resuming.record_replay import pack_records, unpack_records
from cfmodel.training.stopping import EarlyStopping

#: Ratings scored at a time: below the size from which torch splits a sum over threads, so that the result does not
#: depend on their number.
SCORING_BLOCK = 16_384


class Fitting:
    """A model in training: its ratings, its engine, and its best weights so far.

    Attributes:
        epoch: Epochs done.
        step: Updates done in them.
        val_rmse: RMSE on val after each epoch; empty without val.
        start_rmse: RMSE on val of the initial weights; infinite without val.
        seconds: Duration of these epochs, val included.
    """

    def __init__(self, plan: TrainingPlan) -> None:
        self.plan, self.train, val = plan, plan.train, plan.val
        self.batches = plan.batches()
        self.engine = engine_for(plan.initial_model(), self.batches, plan)
        self.val = DeviceRatings.of(val, plan.device) if val is not None and len(val) else None
        self.stopping = EarlyStopping(plan.settings.patience)
        self.epoch = self.step = 0
        self.val_rmse: list[float] = []
        self.start_rmse = math.inf
        self.seconds = 0.0
        self.monitor: Monitor | None = None
        #: Log and seconds of the next epoch's steps that are done already, in a training resumed within an epoch.
        self._earlier, self._seconds_before = NO_STEPS, 0.0
        self._began = 0.0
        self._best_weights: dict[str, Tensor] | None = None
        self._best_adam: SavedAdamState | None = None
        self._copies: dict[str, dict[str, Tensor]] | None = None
        self._closed = False

    def start_monitor(self, on_record: OnRecord, *, state: Mapping[str, Any] | None = None) -> None:
        """Start a monitor, or resume one from its state."""
        self.monitor = build_monitor(self.engine, self.plan, steps=self.batches.steps, on_record=on_record)
        if state is None:
            self.monitor.start()
        else:
            self.monitor.load_state_dict({**state, "taken": list(unpack_records(state["taken"]))})

    @property
    def position(self) -> str:
        """The position in training, for messages."""
        within = f" and {len(self._earlier):,} steps of the next" if len(self._earlier) else ""
        return f"epoch {self.epoch}{within}"

    def start(self, emit: OnRecord) -> None:
        """Validate and store the initial weights, which count as epoch 0."""
        val_rmse = self._val_rmse()
        if val_rmse is not None:
            self.start_rmse = val_rmse
            self._store_if_best(0, val_rmse)
            emit(StartRecord(self.plan.phase, val_rmse, self.plan.settings.bias_start))

    def run_epoch(self, emit: OnRecord) -> EpochRecord:
        """Train to the end of the next epoch, validate, store the weights if they are the best, emit the record.

        `emit` may call `state_within_epoch` when it gets a `StepProgress` below 1.

        Raises:
            DivergedError: A loss, gradient or weight is not finite; this object must not be used any more.
        """
        phase, planned = self.plan.phase, self.plan.epochs
        epoch, self._began = self.epoch + 1, time.perf_counter() - self._seconds_before
        log = self.engine.run_epoch(
            epoch,
            on_progress=lambda fraction: emit(StepProgress(phase, epoch, planned, fraction)),
            monitor=self.monitor,
            earlier=self._earlier,
        )
        self._earlier, self._seconds_before = NO_STEPS, 0.0
        summary = log.summary(epoch=epoch, steps_before=self.step, rating_std=self.plan.scale.std)
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
            best=self._store_if_best(epoch, val_rmse),
            learning_rate=self.engine.learning_rate,
            seconds=seconds,
            ratings_per_second=len(self.train) / trained_seconds,
            **vars(summary),
        )
        emit(record)
        return record

    def state(self) -> dict[str, Any]:
        """Return the state between two epochs, from which the same plan continues bit for bit.

        The tensors are copies, which the next call overwrites. Before the first epoch there are no weights: they
        can be drawn again.
        """
        return self._state(now=self._now(copies=True) if self.epoch else None, within=None)

    def state_within_epoch(self) -> dict[str, Any] | None:
        """Return the state between two steps; None if a number is not finite, or the monitor is calibrating.

        The tensors are the engine's own and change with the next step.
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

    def exclude_seconds(self, seconds: float) -> None:
        """Exclude these seconds from the duration of the epoch."""
        self._began += seconds

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a state, except that of the monitor, which `start_monitor` restores."""
        self.epoch, self.step = state["epoch"], state["step"]
        self.val_rmse, self.start_rmse, self.seconds = list(state["val_rmse"]), state["start_rmse"], state["seconds"]
        self.stopping = EarlyStopping(**state["stopping"])
        if (now := state["now"]) is not None:
            self.engine.model.load_state_dict(now["weights"])
            self.engine.resume(AdamState(now["adam_step"], now["first_moments"], now["second_moments"]))
        if (within := state["within"]) is not None:
            columns = {name: column.numpy() for name, column in within["log"].items()}
            self._earlier = StepLog.of(columns, self.engine.model.table_names())
            self._seconds_before = within["seconds"]
        if (best := state["best"]) is not None:
            self._best_weights, self._best_adam = best["weights"], SavedAdamState(**best["memory"])

    def close(self) -> None:
        """End the engine's threads; no step may follow."""
        if not self._closed:
            self._closed = True
            self.engine.close()

    def best_model(self) -> CollaborativeFiltering:
        """Return the model with the best weights on val, or the current ones without val; no step may follow."""
        self.close()
        if self._best_weights is not None:
            self.engine.model.load_state_dict(self._best_weights)
        return self.engine.model

    def best_adam_state(self) -> SavedAdamState:
        """Return Adam's state at the end of the epoch of `best_model`."""
        return self._best_adam or self._adam_state(self.epoch)

    def _state(self, *, now: dict[str, Any] | None, within: dict[str, Any] | None) -> dict[str, Any]:
        monitor = None if self.monitor is None else self.monitor.state_dict()
        return {
            "epoch": self.epoch,
            "step": self.step,
            "val_rmse": list(self.val_rmse),
            "start_rmse": self.start_rmse,
            "seconds": self.seconds,
            "stopping": asdict(self.stopping),
            "monitor": monitor and {**monitor, "taken": pack_records(monitor["taken"])},
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
        return {**(self._copy(tables) if copies else tables), "adam_step": adam.step}

    def _copy(self, tables: Mapping[str, dict[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
        if self._copies is None:
            self._copies = {kind: clone_tables(each) for kind, each in tables.items()}
        else:  # into existing memory, which takes a third of the time
            for kind, each in tables.items():
                for name, table in each.items():
                    self._copies[kind][name].copy_(table)
        return self._copies

    def _adam_state(self, epoch: int) -> SavedAdamState:
        return SavedAdamState.of(
            self.engine.adam(),
            epoch=epoch,
            learning_rate=self.engine.learning_rate,
            batch_size=self.plan.batch_size,
            blocks=self.batches.blocks,
            penalty=self.plan.penalty,
        )

    def _val_rmse(self) -> float | None:
        if self.val is None:
            return None
        low, high = float(self.train.rating.min()), float(self.train.rating.max())
        return clamped_rmse(self.engine.model, self.val, low=low, high=high) * self.plan.scale.std

    def _store_if_best(self, epoch: int, val_rmse: float | None) -> bool:
        best = val_rmse is not None and self.stopping.improves(epoch, val_rmse)
        if best:
            self._best_weights = clone_tables(self.engine.model.state_dict())
            self._best_adam = self._adam_state(epoch)
        return best


@torch.no_grad()
def clamped_rmse(model: CollaborativeFiltering, ratings: DeviceRatings, *, low: float, high: float) -> float:
    """Return the RMSE of scores clamped to [low, high], all standardized; rows may be cold."""
    squares = []
    for batch in ratings.batches(SCORING_BLOCK):
        scores = model.score(batch.user_idx, batch.movie_idx).clamp(low, high)
        squares.append((batch.rating - scores).double().square().sum())
    return math.sqrt(float(torch.stack(squares).sum()) / len(ratings))


def _is_finite(model: CollaborativeFiltering) -> bool:
    # The sum first, in a tenth of the time: it is finite only if every element is, but it may overflow.
    return all(bool(table.sum().isfinite() or table.isfinite().all()) for table in model.parameters())


def _require_finite(model: CollaborativeFiltering, *, epoch: int, step: int) -> None:
    if _is_finite(model):
        return
    raise DivergedError(
        f"epoch {epoch}: a weight is not finite after step {step:,}; lower train.learning_rate", step=step
    )
