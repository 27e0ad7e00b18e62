"""The monitor: measures training and emits frozen records.

It reads the tables and never writes them, so the weights are bit for bit the same with and without it. Within
a step it never waits for the device: its measurements are reduced in blocks and read once an epoch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cfmodel.config import MonitorSettings
from cfmodel.gradients.measuring.epoch_pass import compile_pass
from cfmodel.gradients.measuring.monitored_table import MonitoredTable, Sensitivity
from cfmodel.gradients.measuring.probe import Position, Probe, compile_norms
from cfmodel.gradients.measuring.rating_statistics import RatingStatistics
from cfmodel.gradients.measuring.sampled_steps import CALIBRATION_STEPS
from cfmodel.gradients.measuring.sampling_schedule import FIRST_EPOCHS, MeasuredCosts, MonitorPlan, SamplingSchedule
from cfmodel.gradients.measuring.step_scalars import StepReducer, StepScalars
from cfmodel.gradients.measuring.stopwatch import Stopwatch, clock_of
from cfmodel.gradients.measuring.table_health import TableHealthTracker
from cfmodel.gradients.measuring.table_probe import SampledTable
from cfmodel.gradients.measuring.table_probe_cpu import SampledTableCpu, compile_table_probe, is_float32_on_cpu
from cfmodel.gradients.recording.gradient_records import (
    EpochGradients,
    Floats,
    GradientRecord,
    InitialRecord,
    MonitorCost,
    StepBlock,
    StepSample,
)
from cfmodel.gradients.statistics.quantiles import compile_quantiles

#: Cost of a sample: reading it takes a quarter of the time of taking it.
_READ_COST = 1.25
#: Storing a step's errors is timed in one step of this many, for all of them.
_TIMED_EVERY = 16

_FORMAT = 2


class Monitor:
    """Monitors one phase of training.

    Call `start`; in each epoch `begin_epoch`, in each step `probe` and `add_errors` (or `count_steps` for steps
    without a sample), then `end_steps` and `end_epoch`; at the end `finish`.

    Args:
        tables: The learned tables by name.
        rating: The N training ratings, shape (N,).
        counts: Training ratings of each row, by side, int64, shape (rows,).
        plan: The phase.
        settings: Budget or interval of the measurements.
        emit: Receives each record.
        second_moments: Returns Adam's running means of squared gradients by table.
        spreads: Returns the standard deviations of scores and of their dot products, in those of the ratings.
        sensitivity: The derivative of a prediction by the rows it looks up.
    """

    def __init__(
        self,
        tables: Mapping[str, MonitoredTable],
        rating: Tensor,
        counts: Mapping[str, Tensor],
        *,
        plan: MonitorPlan,
        settings: MonitorSettings,
        emit: Callable[[GradientRecord], None],
        second_moments: Callable[[], Mapping[str, Tensor]],
        spreads: Callable[[], tuple[float, float]],
        sensitivity: Sensitivity,
    ) -> None:
        self._tables, self._num_ratings, self._plan, self._emit = tables, len(rating), plan, emit
        self._second_moments, self._spreads, self._sensitivity = second_moments, spreads, sensitivity
        self._clock = clock_of(rating.device)
        self._recording = Stopwatch(self._clock)
        compile_quantiles()
        sampled_table = SampledTable
        if is_float32_on_cpu(*(table.weights for table in tables.values())):
            compile_table_probe()
            compile_norms()
            compile_pass()
            sampled_table = SampledTableCpu
        self._schedule = SamplingSchedule(len(rating), plan, settings)
        with self._recording:
            num_rows = {table.side: len(table.weights) for table in tables.values()}
            self._statistics = statistics = RatingStatistics(rating, counts)
            self._health = {
                name: TableHealthTracker(table.weights, counts[table.side], has_vectors=table.has_vectors)
                for name, table in tables.items()
            }
            self._sampled: dict[str, SampledTable] = {
                name: sampled_table(
                    table.weights,
                    table.side,
                    statistics.deciles[table.side],
                    table.penalty,
                    torch.empty_like(table.weights, requires_grad=False) if plan.all_rows else None,
                )
                for name, table in tables.items()
            }
        self._reducer = StepReducer(num_rows, plan.batch_size)
        self._probes: list[Probe] = []
        self._taken: list[StepSample] = []
        self._had_gradient = dict.fromkeys(tables, False)
        self._epoch = self._step = self._samples = self._measured_epoch = 0
        self._trained = self._epoch_began = self._recorded_before = 0.0
        self._rows_cost = self._store_cost = self._before_steps = 0.0
        self._next_sample: int | None = None
        self._end: int | None = None

    def start(self) -> None:
        """Emit the record of the model before its first update."""
        with self._recording:
            record = self._initial_record()
        self._emit(record)

    def begin_epoch(
        self, epoch: int, steps: int, index: Mapping[str, Tensor] | None = None, sizes: Sequence[int] | None = None
    ) -> None:
        """Begin an epoch, or continue the epoch of a loaded state.

        Args:
            epoch: Number of the epoch, from 1.
            steps: Steps left in it.
            index: Rows of the ratings by `user` and `movie`, in the order of the steps left, each of shape (N,);
                None: the engine passes the scalars of the steps to `end_steps`.
            sizes: Ratings of each step.
        """
        self._epoch = epoch
        self._end = self._step + steps if self._schedule.samples_end_of(epoch) else None
        self._plan_sample()
        if index is not None and sizes is not None:
            self._reducer.begin(index, sizes, count_rows=self._schedule.measures_tables(epoch))
        self._epoch_began, self._recorded_before = self._clock(), self._recording.seconds

    def probe(self, learning_rate: float) -> Probe | None:
        """Begin a step; return its probe, or None if the step is not sampled.

        Args:
            learning_rate: Step size of this update.
        """
        if not self._step:
            # The time before the first step is not part of a step.
            self._before_steps = self._training_seconds()
        self._step += 1
        if self._step != self._next_sample:
            return None
        probe = Probe(
            Position(self._plan.phase, self._epoch, self._step, learning_rate),
            self._sampled,
            self._sensitivity,
            self._recording,
        )
        self._probes.append(probe)
        self._plan_sample()
        return probe

    @property
    def is_calibrating(self) -> bool:
        """Whether the first steps are still being timed to choose the sampling interval."""
        return self._schedule.sample_every is None

    def steps_before_sample(self, most: int) -> int:
        """Return the number of steps before the next sampled one, at most `most`."""
        if self._schedule.must_choose_after(self._step):
            self._choose_samples()
        return most if self._next_sample is None else min(most, self._next_sample - self._step - 1)

    def count_steps(self, steps: int) -> None:
        """Count steps, none of them sampled, instead of `probe` and `add_errors` for each."""
        self._step += steps

    def add_errors(self, error: Tensor) -> None:
        """End a step; store its errors, shape (B,), for a reduction together with those of other steps."""
        if self._step % _TIMED_EVERY:
            full = self._reducer.add(error)
        else:
            before = self._recording.seconds
            with self._recording:
                full = self._reducer.add(error)
            self._store_cost = self._recording.seconds - before
            self._recording.seconds += (_TIMED_EVERY - 1) * self._store_cost
        if full or self._schedule.must_choose_after(self._step):
            self._reduce()

    def scalars(self) -> StepScalars:
        """Return the scalars of the steps whose errors were added since `begin_epoch`."""
        self._reduce()
        with self._recording:
            return self._reducer.read()

    def end_steps(
        self,
        *,
        loss: Floats,
        mean_squared_error: Floats,
        total_norm: Floats,
        clip_coefficient: Floats,
        grad_norms: Mapping[str, Floats],
        scalars: StepScalars | None = None,
    ) -> None:
        """End an epoch's steps; emit their block and the samples among them.

        The arrays, of shape (S,), are of all steps of the epoch, also of those done before a state was loaded.
        """
        self._trained = self._training_seconds()
        self._epoch_began = 0.0
        scalars = scalars or self.scalars()
        self._read_samples()
        with self._recording:
            numbers = np.stack([loss, mean_squared_error, total_norm, scalars.largest_error, *grad_norms.values()])
            block = StepBlock(
                phase=self._plan.phase,
                epoch=self._epoch,
                first_step=self._step - len(loss) + 1,
                loss=loss,
                mean_squared_error=mean_squared_error,
                largest_error=scalars.largest_error,
                largest_error_user=scalars.user,
                largest_error_movie=scalars.movie,
                grad_norms=dict(grad_norms),
                total_norm=total_norm,
                clip_coefficient=clip_coefficient,
                rows_touched={name: scalars.rows_touched[table.side] for name, table in self._tables.items()},
                finite=np.asarray(np.isfinite(numbers).all(axis=0)),
            )
            for name, norms in grad_norms.items():
                self._had_gradient[name] |= bool((norms > 0).any())
        samples, self._taken = self._taken, []
        self._samples += len(samples)
        self._emit(block)
        for sample in samples:
            self._emit(sample)

    def end_epoch(self) -> None:
        """End an epoch; measure the tables if the schedule says so."""
        rows_cost, self._rows_cost = self._rows_cost, 0.0
        if not self._schedule.measures_tables(self._epoch):
            return
        before = self._recording.seconds
        self._measure_tables()
        if self._schedule.epoch_every is None:
            costs, seconds = self._schedule.costs, self._recording.seconds - before + rows_cost
            # The minimum: the first measurement includes one-time work, and other programs may slow any of them.
            costs.epoch = min(costs.epoch or seconds, seconds)
            if self._epoch >= FIRST_EPOCHS:
                costs.training = self._training_seconds() / self._step
                self._schedule.choose_epoch_interval(spent=self._recording.seconds, step=self._step)

    def finish(self) -> None:
        """End the phase; measure the final tables, and emit the cost of monitoring."""
        if self._epoch and self._measured_epoch != self._epoch:
            self._measure_tables()
        training = max(self._trained, 1e-9)
        self._emit(
            MonitorCost(
                phase=self._plan.phase,
                seconds=self._recording.seconds,
                training_seconds=training,
                overhead_fraction=self._recording.seconds / training,
                sample_every=self._schedule.sample_every or CALIBRATION_STEPS,
                epoch_every=self._schedule.epoch_every or 1,
                samples=self._samples,
            )
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state for a resumed phase, tensors and records (`taken`) included.

        Call it at the end of an epoch, or between two steps unless the monitor `is_calibrating`. The arrays that
        `end_steps` will get are not part of the state.
        """
        self._read_samples()
        return {
            "format": _FORMAT,
            "sample_every": self._schedule.sample_every,
            "epoch_every": self._schedule.epoch_every,
            "epoch": self._epoch,
            "looked": self._measured_epoch,
            "step": self._step,
            "samples": self._samples,
            "taken": list(self._taken),
            "costs": asdict(self._schedule.costs),
            "rows_cost": self._rows_cost,
            "had_gradient": dict(self._had_gradient),
            "recording_seconds": self._recording.seconds,
            "training_seconds": self._training_seconds(),
            "tables": {name: health.state() for name, health in self._health.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state instead of `start`; the same steps are sampled as without the interruption."""
        self._schedule.sample_every, self._schedule.epoch_every = state["sample_every"], state["epoch_every"]
        self._epoch, self._step, self._samples = state["epoch"], state["step"], state["samples"]
        self._taken, self._rows_cost = list(state["taken"]), state["rows_cost"]
        self._schedule.costs = MeasuredCosts(**state["costs"])
        self._measured_epoch, self._had_gradient = state["looked"], dict(state["had_gradient"])
        self._recording.seconds += state["recording_seconds"]
        self._trained = state["training_seconds"]
        for name, health in self._health.items():
            health.restore(state["tables"][name])

    def _training_seconds(self) -> float:
        """Return the seconds spent on updates so far, without recording."""
        if not self._epoch_began:
            return self._trained
        recorded = self._recording.seconds - self._recorded_before
        return self._trained + self._clock() - self._epoch_began - recorded

    def _reduce(self) -> None:
        """Reduce the waiting errors and time it; choose the sampling interval when that is due."""
        steps, before = self._reducer.waiting, self._recording.seconds
        with self._recording:
            self._reducer.reduce_errors()
        if steps:
            self._schedule.costs.step = self._store_cost + (self._recording.seconds - before) / steps
        before = self._recording.seconds
        with self._recording:
            self._reducer.count_rows()
        self._rows_cost += self._recording.seconds - before
        if self._schedule.must_choose_after(self._step):
            self._choose_samples()

    def _read_samples(self) -> None:
        with self._recording:
            self._taken += [probe.read() for probe in self._probes]
        self._probes = []

    def _choose_samples(self) -> None:
        costs, seconds = self._schedule.costs, [probe.seconds for probe in self._probes[1:]]
        costs.sample = _READ_COST * float(np.median(seconds)) if seconds else 0.0
        costs.training = (self._training_seconds() - self._before_steps) / self._step
        self._schedule.choose_sample_interval(spent=self._recording.seconds)
        self._plan_sample()

    def _plan_sample(self) -> None:
        self._next_sample = self._schedule.next_sample(self._step, end=self._end)

    def _measure_tables(self) -> None:
        with self._recording:
            record = self._epoch_record()
        self._had_gradient, self._measured_epoch = dict.fromkeys(self._tables, False), self._epoch
        self._emit(record)

    def _initial_record(self) -> InitialRecord:
        statistics, plan = self._statistics, self._plan
        return InitialRecord(
            phase=plan.phase,
            prediction_std=self._spreads()[1],
            rating_std=statistics.rating_std,
            rating_min=statistics.rating_min,
            rating_max=statistics.rating_max,
            num_ratings=self._num_ratings,
            batch_size=plan.batch_size,
            learning_rate=plan.learning_rate,
            max_grad_norm=plan.max_grad_norm,
            regularization=plan.regularization,
            planned_steps=self._schedule.planned_steps,
            rows={name: len(table.weights) for name, table in self._tables.items()},
            cold_rows={name: health.cold_rows for name, health in self._health.items()},
            # Only where it does not follow from the table's name; see `InitialRecord.sides`.
            sides={name: table.side for name, table in self._tables.items() if name.partition("_")[0] != table.side},
            ratings_by_decile={name: statistics.shares[table.side] for name, table in self._tables.items()},
        )

    def _epoch_record(self) -> EpochGradients:
        moments = self._second_moments()
        tables = {
            name: health.measure(self._epoch, second_moment=moments.get(name), had_gradient=self._had_gradient[name])
            for name, health in self._health.items()
        }
        prediction_std, dot_std = self._spreads()
        return EpochGradients(
            phase=self._plan.phase,
            epoch=self._epoch,
            step=self._step,
            tables=tables,
            prediction_std=prediction_std,
            dot_std=dot_std,
        )
