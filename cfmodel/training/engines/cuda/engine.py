"""The fused engine for CUDA: closed-form steps, recorded once as a CUDA graph and replayed."""

import torch
from torch import Tensor

from cfmodel.config import TrainSettings
from cfmodel.gradients.measuring.monitor import Monitor
from cfmodel.gradients.measuring.probe import Probe
from cfmodel.gradients.measuring.touched_rows import TouchedRows
from cfmodel.model import CollaborativeFiltering
from cfmodel.tables import SIDES
from cfmodel.training.batching.batches import Batches, DeviceRatings
from cfmodel.training.engines.cuda.batch_prefetch import BatchPrefetch
from cfmodel.training.engines.cuda.closed_form import ClosedFormStep, StepGradient
from cfmodel.training.engines.cuda.device_epoch import DeviceEpoch
from cfmodel.training.engines.cuda.packed_adam import AdamOnAllRows, AdamOnTouchedRows, PackedAdam
from cfmodel.training.engines.cuda.packed_tables import PackedTables
from cfmodel.training.engines.cuda.step_graph import StepGraph
from cfmodel.training.engines.protocol import REPORTS_PER_EPOCH, AdamState, OnProgress, unshare_tables
from cfmodel.training.engines.row_layout import cannot_train, table_parts
from cfmodel.training.engines.step_log import NO_STEPS, StepLog
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.planning.schedule import learning_rates


class CudaEngine:
    """Trains a model in place, its tables being views of one packed tensor on the model's device.

    Ratings, tables, Adam's state and the step number stay on the device, and a step reads nothing back. On CUDA
    the steps are replays of one graph; on any other device the same operations run one by one.

    Args:
        model: Untrained or loaded; on any device.
        batches: Batches of the training ratings.
        plan: Ratings, Adam, schedule, penalty and clipping.
    """

    name = "fused"

    def __init__(self, model: CollaborativeFiltering, batches: Batches, plan: TrainingPlan) -> None:
        settings = plan.settings
        self.model, self.learning_rate = model, settings.learning_rate
        self._settings, self._steps = settings, 0
        device = model.global_mean.device
        self._tables = tables = PackedTables(model)
        self._gradient = torch.zeros_like(tables.weight)
        self._adam = build_packed_adam(tables.weight, self._gradient, settings)
        self._epoch = DeviceEpoch(
            DeviceRatings.of(plan.train, device)[torch.from_numpy(batches.order()).to(device)],
            num_users=tables.num_users,
            steps=batches.steps,
            dtype=tables.weight.dtype,
        )
        self._step = ClosedFormStep(
            tables,
            self._epoch,
            self._adam,
            gradient=self._gradient,
            penalty=plan.penalty_weights(),
            max_grad_norm=settings.max_grad_norm,
        )
        self._graph = StepGraph(self._step.run, device)
        self._earlier, self._done = NO_STEPS, 0
        self._sizes: list[int] = []
        self._epochs = BatchPrefetch(batches, epochs=settings.epochs, pinned=device.type == "cuda")

    @staticmethod
    def cannot_train(model: type[CollaborativeFiltering]) -> str | None:
        """Return why the fused steps cannot train a class of model; None if they can."""
        return cannot_train(model)

    def run_epoch(
        self,
        epoch: int,
        *,
        on_progress: OnProgress,
        monitor: Monitor | None = None,
        earlier: StepLog = NO_STEPS,
    ) -> StepLog:
        """Update the model once per batch, each rating in exactly one batch, and return the log of the steps."""
        places, sizes = self._epochs.take(epoch)
        rates = learning_rates(epoch, len(sizes), self._settings)
        done = len(earlier)
        self._epoch.begin(places, sizes, self._adam.rates(rates, steps_before=self._steps - done), done=done)
        self._ensure_capacity(max(sizes))
        if monitor is not None:
            monitor.begin_epoch(epoch, len(sizes) - done)
        self._earlier, self._sizes, self._done = earlier, sizes, done
        self._run(sizes, rates, on_progress, monitor)
        self.learning_rate = rates[-1]
        log = self.log()
        if monitor is not None:
            monitor.end_steps(**log.columns())
        return log

    def log(self) -> StepLog:
        """Return the log of the epoch's steps so far; this waits for the device."""
        first = len(self._earlier)
        return self._epoch.read(self._sizes[first : self._done], first=first).after(self._earlier)

    def adam(self) -> AdamState:
        """Return Adam's state; the tensors are views of the engine's own."""
        return AdamState(self._steps, self._tables.views(self._adam.first), self._tables.views(self._adam.second))

    def resume(self, state: AdamState) -> None:
        """Continue from a state that `adam` returned; the model's tables must be set already."""
        self.adam().copy_from(state)
        self._steps = state.step
        self._adam.resume(state.step)

    def close(self) -> None:
        """End the threads and give the model tables of its own."""
        self._epochs.close()
        unshare_tables(self.model)

    def _run(
        self,
        sizes: list[int],
        learning_rates: list[float],
        on_progress: OnProgress,
        monitor: Monitor | None,
    ) -> None:
        """Do an epoch's steps in stretches, each up to the next progress report or sampled step."""
        stride = max(1, len(sizes) // REPORTS_PER_EPOCH)
        while self._done < len(sizes):
            most = min(stride, len(sizes) - self._done)
            free = most if monitor is None else self._steps_before_sample(monitor, most)
            if monitor is not None and not free:
                self._run_monitored(sizes[self._done], learning_rates[self._done], monitor)
            else:
                for _ in range(free):
                    self._graph.run()
                if monitor is not None:
                    monitor.count_steps(free)
            self._done += max(1, free)
            self._steps += max(1, free)
            on_progress(self._done / len(sizes))

    def _steps_before_sample(self, monitor: Monitor, most: int) -> int:
        if monitor.is_calibrating:
            # The monitor times the first steps; the clock of the host is right only if the device has finished.
            self._graph.wait()
        return monitor.steps_before_sample(most)

    def _run_monitored(self, size: int, learning_rate: float, monitor: Monitor) -> None:
        """Do one step in two halves, between which a probe measures the gradients."""
        probe = monitor.probe(learning_rate)
        step = self._step.differentiate()
        if probe is not None:
            self._measure_gradients(probe, step, size)
        self._step.move(step)
        if probe is not None:
            probe.measure_update()

    def _measure_gradients(self, probe: Probe, step: StepGradient, size: int) -> None:
        with probe.timed():
            rows, tables = step.batch.rows[:, :size], self._tables
            index = {"user": rows[0], "movie": rows[1] - tables.num_users}
            touched: dict[str, TouchedRows] = {
                side: TouchedRows.of(index[side], self.model.num_rows[side]) for side in SIDES
            }
            parts = {side: table_parts(tables.rows(self._gradient, side), side, tables.dim) for side in SIDES}
            gradients = {name: touched[side].take(part) for side in SIDES for name, part in parts[side].items()}
        probe.measure_gradients(index, step.error[:size], touched=touched, gradients=gradients)

    def _ensure_capacity(self, largest: int) -> None:
        """Record the step anew if its capacity is below this batch size."""
        if self._step.capacity < largest:
            # Rounded up by at most 3 %: sizes differ between epochs, and a new capacity needs a new recording.
            grain = 1 << max(0, largest.bit_length() - 6)
            self._step.capacity = -(-largest // grain) * grain
            self._graph.record(restoring=[*self._adam.state(), *self._epoch.state()])


def build_packed_adam(weight: Tensor, gradient: Tensor, settings: TrainSettings) -> PackedAdam:
    """Return the Adam that the settings ask for."""
    return (AdamOnAllRows if settings.adam == "all_rows" else AdamOnTouchedRows)(weight, gradient)
