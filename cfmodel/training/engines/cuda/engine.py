"""The engine for CUDA: closed-form steps, recorded once as a CUDA graph and replayed without a word from the host."""

import torch
from torch import Tensor

from cfmodel.config import TrainSettings
from cfmodel.gradients.measuring.monitor import Monitor
from cfmodel.gradients.measuring.probe import Probe
from cfmodel.gradients.measuring.touched_rows import TouchedRows
from cfmodel.model import CollaborativeFiltering
from cfmodel.tables import SIDES
from cfmodel.training.batching.batches import Batches, DeviceRatings
from cfmodel.training.engines.base import REPORTS_PER_EPOCH, AdamState, OnProgress, unpack
from cfmodel.training.engines.cuda.batch_prefetch import BatchPrefetch
from cfmodel.training.engines.cuda.closed_form import ClosedFormStep, Differentiated
from cfmodel.training.engines.cuda.device_epoch import DeviceEpoch
from cfmodel.training.engines.cuda.packed_adam import AdamOnAllRows, AdamOnTouchedRows, PackedAdam
from cfmodel.training.engines.cuda.packed_tables import PackedTables
from cfmodel.training.engines.cuda.step_graph import StepGraph
from cfmodel.training.engines.row_layout import cannot_train, table_parts
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.planning.schedule import learning_rates
from cfmodel.training.step_log import NO_STEPS, StepLog


class CudaEngine:
    """Trains a model in place, its tables being views of one packed tensor on the model's device.

    Ratings, tables, Adam's state and the number of the step all stay on the device, and a step reads none of them
    back. On CUDA the steps are replays of one graph; on any other device the same operations run one by one.

    Args:
        model: Untrained, or as it was saved; on any device.
        batches: How the training ratings are dealt into batches.
        plan: What is learned from, Adam, schedule, penalty and clipping.
    """

    name = "fused"

    def __init__(self, model: CollaborativeFiltering, batches: Batches, plan: TrainingPlan) -> None:
        settings = plan.settings
        self.model, self.learning_rate = model, settings.learning_rate
        self._settings, self._steps = settings, 0
        device = model.global_mean.device
        self._tables = tables = PackedTables(model)
        self._gradient = torch.zeros_like(tables.weight)
        self._adam = adam_of(tables.weight, self._gradient, settings)
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
            global_mean=model.global_mean,
            regularization=plan.regularization,
            max_grad_norm=settings.max_grad_norm,
        )
        self._graph = StepGraph(self._step.run, device)
        self._after, self._done = NO_STEPS, 0
        self._sizes: list[int] = []
        self._dealt = BatchPrefetch(batches, epochs=settings.epochs, pinned=device.type == "cuda")

    @staticmethod
    def cannot_train(model: type[CollaborativeFiltering]) -> str | None:
        """Return why compiled steps cannot train a class of model; None where they can."""
        return cannot_train(model)

    def run_epoch(
        self,
        epoch: int,
        *,
        on_progress: OnProgress,
        monitor: Monitor | None = None,
        after: StepLog = NO_STEPS,
    ) -> StepLog:
        """Update the model once per batch, each rating in exactly one batch, and return what the steps saw."""
        places, sizes = self._dealt.take(epoch)
        rates = learning_rates(epoch, len(sizes), self._settings)
        done = len(after)
        self._epoch.begin(places, sizes, self._adam.rates(rates, steps_before=self._steps - done), done=done)
        self._make_room(max(sizes))
        if monitor is not None:
            monitor.begin_epoch(epoch, len(sizes) - done)
        self._after, self._sizes, self._done = after, sizes, done
        self._run(sizes, rates, on_progress, monitor)
        self.learning_rate = rates[-1]
        log = self.log()
        if monitor is not None:
            monitor.end_steps(**log.columns())
        return log

    def log(self) -> StepLog:
        """Return what the epoch's steps saw so far; this waits for the device."""
        first = len(self._after)
        return self._epoch.read(self._sizes[first : self._done], first=first).after(self._after)

    def adam(self) -> AdamState:
        """Return Adam's state; the tensors are views of the engine's own."""
        return AdamState(self._steps, self._tables.views(self._adam.first), self._tables.views(self._adam.second))

    def resume(self, state: AdamState) -> None:
        """Go on from a state that `adam` returned; the model's tables are set already."""
        self.adam().take(state)
        self._steps = state.step
        self._adam.resume(state.step)

    def close(self) -> None:
        """Let the threads end and give the model tables of its own."""
        self._dealt.close()
        unpack(self.model)

    def _run(
        self,
        sizes: list[int],
        learning_rates: list[float],
        on_progress: OnProgress,
        monitor: Monitor | None,
    ) -> None:
        """Do an epoch's steps, in stretches up to the next report or look of the monitor."""
        stride = max(1, len(sizes) // REPORTS_PER_EPOCH)
        while self._done < len(sizes):
            most = min(stride, len(sizes) - self._done)
            free = most if monitor is None else self._free_steps(monitor, most)
            if monitor is not None and not free:
                self._run_watched(sizes[self._done], learning_rates[self._done], monitor)
            else:
                for _ in range(free):
                    self._graph.run()
                if monitor is not None:
                    monitor.passed(free)
            self._done += max(1, free)
            self._steps += max(1, free)
            on_progress(self._done / len(sizes))

    def _free_steps(self, monitor: Monitor, most: int) -> int:
        if monitor.is_calibrating:
            # It times steps to choose how many to look at; only now is the time on the host the device's.
            self._graph.wait()
        return monitor.free_steps(most)

    def _run_watched(self, size: int, learning_rate: float, monitor: Monitor) -> None:
        """Do one step in two halves, between which a probe looks at the gradients."""
        probe = monitor.probe(learning_rate)
        step = self._step.differentiate()
        if probe is not None:
            self._show(probe, step, size)
        self._step.move(step)
        if probe is not None:
            probe.after()

    def _show(self, probe: Probe, step: Differentiated, size: int) -> None:
        with probe.timed():
            rows, tables = step.batch.rows[:, :size], self._tables
            index = {"user": rows[0], "movie": rows[1] - tables.num_users}
            touched: dict[str, TouchedRows] = {
                side: TouchedRows.of(index[side], self.model.num_rows[side]) for side in SIDES
            }
            parts = {side: table_parts(tables.rows(self._gradient, side), side, tables.dim) for side in SIDES}
            gradients = {name: touched[side].take(part) for side in SIDES for name, part in parts[side].items()}
        probe.before(index, step.error[:size], touched=touched, gradients=gradients)

    def _make_room(self, largest: int) -> None:
        """Have the step take batches of so many ratings, and record it if it did not."""
        if self._step.room < largest:
            # Rounded up by at most 3 %: sizes differ between epochs, and each new room is a new recording.
            grain = 1 << max(0, largest.bit_length() - 6)
            self._step.room = -(-largest // grain) * grain
            self._graph.record(restoring=[*self._adam.state(), *self._epoch.state()])


def adam_of(weight: Tensor, gradient: Tensor, settings: TrainSettings) -> PackedAdam:
    """Return the Adam that the settings ask for."""
    return (AdamOnAllRows if settings.adam == "all_rows" else AdamOnTouchedRows)(weight, gradient)
