"""The monitor: watches training through names and tensors, and hands on frozen records.

It reads and never writes, so what is learned is bit for bit the same with and without it. Within a
step it never waits for the device: what it sees there is reduced in blocks, and read once an epoch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cfmodel.config import MonitorSettings
from cfmodel.gradients.measuring.epoch_look import TableWatch
from cfmodel.gradients.measuring.epoch_pass import compile_pass
from cfmodel.gradients.measuring.monitored_table import MonitoredTable, Sensitivity
from cfmodel.gradients.measuring.pace import FIRST_EPOCHS, Costs, MonitorPlan, Pace
from cfmodel.gradients.measuring.probe import Position, Probe, compile_norms
from cfmodel.gradients.measuring.rating_statistics import RatingStatistics
from cfmodel.gradients.measuring.sampled_steps import CALIBRATION_STEPS
from cfmodel.gradients.measuring.step_scalars import StepReducer, StepScalars
from cfmodel.gradients.measuring.stopwatch import Stopwatch, clock_of
from cfmodel.gradients.measuring.table_look import SampledTable
from cfmodel.gradients.measuring.table_look_cpu import SampledTableCpu, compile_looks, is_on_host
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

#: A sample read costs as much again as a quarter of taking it.
READING = 1.25
#: One step in so many times how long keeping its errors takes, for all of them.
TIMED = 16

_FORMAT = 2


class Monitor:
    """Watches one phase of training.

    `start`; each epoch `begin_epoch`, each step `probe` and, with its errors, `add`, then `end_steps`
    and `end_epoch`; at the end `finish`.

    Args:
        tables: The tables that are learned, by name.
        rating: The N training ratings, shape (N,).
        counts: How many of them each row of a side has, by side, int64, shape (rows,).
        plan: What the phase is about to do.
        settings: How closely to look.
        emit: Takes each record as it is made.
        second_moments: Gives Adam's running means of squared gradients, by table; of those it has.
        spreads: Gives the standard deviations of predictions and of their dot products, in rating units.
        sensitivity: How a prediction moves with the rows that a rating looks up.
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
        watched = SampledTable
        if is_on_host(*(table.weights for table in tables.values())):
            compile_looks()
            compile_norms()
            compile_pass()
            watched = SampledTableCpu
        self._pace = Pace(len(rating), plan, settings)
        with self._recording:
            num_rows = {table.side: len(table.weights) for table in tables.values()}
            self._statistics = statistics = RatingStatistics(rating, counts)
            self._watches = {
                name: TableWatch(table.weights, counts[table.side], has_vectors=table.has_vectors)
                for name, table in tables.items()
            }
            self._watched: dict[str, SampledTable] = {
                name: watched(
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
        self._epoch = self._step = self._samples = self._looked = 0
        self._trained = self._epoch_began = self._recorded_before = 0.0
        self._rows_cost = self._keeping = self._before_steps = 0.0
        self._next_sample: int | None = None
        self._end: int | None = None

    def start(self) -> None:
        """Look at the model before its first update."""
        with self._recording:
            record = self._initial()
        self._emit(record)

    def begin_epoch(
        self, epoch: int, steps: int, index: Mapping[str, Tensor] | None = None, sizes: Sequence[int] | None = None
    ) -> None:
        """Begin an epoch, or go on with the one that the state taken up was in.

        Args:
            epoch: Its number, from 1.
            steps: How many are to come in it.
            index: Rows looked up by `user` and `movie` in the order of the steps to come, each of shape (N,);
                None where the engine hands over the steps' own scalars with `end_steps`.
            sizes: Ratings of each step.
        """
        self._epoch = epoch
        self._end = self._step + steps if self._pace.ends(epoch) else None
        self._plan_sample()
        if index is not None and sizes is not None:
            self._reducer.begin(index, sizes, count_rows=self._pace.looks_after(epoch))
        self._epoch_began, self._recorded_before = self._clock(), self._recording.seconds

    def probe(self, learning_rate: float) -> Probe | None:
        """Begin a step; return what is to look at it, or None where it is not sampled.

        Args:
            learning_rate: Step size of this update.
        """
        if not self._step:
            # What comes before the first step is not what a step takes.
            self._before_steps = self._training_seconds()
        self._step += 1
        if self._step != self._next_sample:
            return None
        probe = Probe(
            Position(self._plan.phase, self._epoch, self._step, learning_rate),
            self._watched,
            self._sensitivity,
            self._recording,
        )
        self._probes.append(probe)
        self._plan_sample()
        return probe

    @property
    def is_calibrating(self) -> bool:
        """Whether how often to sample is still to be chosen, from the time that the first steps take."""
        return self._pace.sample_every is None

    def free_steps(self, most: int) -> int:
        """Return how many steps, at most so many, come before the next that is sampled."""
        if self._pace.is_open(self._step):
            self._choose_samples()
        return most if self._next_sample is None else min(most, self._next_sample - self._step - 1)

    def passed(self, steps: int) -> None:
        """Take note of so many steps, none of them sampled, in place of `probe` and `add` for each."""
        self._step += steps

    def add(self, error: Tensor) -> None:
        """End a step; keep its errors, shape (B,), to be reduced together with others'."""
        if self._step % TIMED:
            full = self._reducer.add(error)
        else:
            before = self._recording.seconds
            with self._recording:
                full = self._reducer.add(error)
            self._keeping = self._recording.seconds - before
            self._recording.seconds += (TIMED - 1) * self._keeping
        if full or self._pace.is_open(self._step):
            self._reduce()

    def scalars(self) -> StepScalars:
        """Return what became of the errors that `add` was given since `begin_epoch`."""
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
        """End an epoch's steps, each array of shape (S,): hand on their block and the samples among them.

        They are all of the epoch's, those that were done before the state taken up among them.
        """
        self._trained = self._training_seconds()
        self._epoch_began = 0.0
        seen = scalars or self.scalars()
        self._read_samples()
        with self._recording:
            numbers = np.stack([loss, mean_squared_error, total_norm, seen.largest_error, *grad_norms.values()])
            block = StepBlock(
                phase=self._plan.phase,
                epoch=self._epoch,
                first_step=self._step - len(loss) + 1,
                loss=loss,
                mean_squared_error=mean_squared_error,
                largest_error=seen.largest_error,
                largest_error_user=seen.user,
                largest_error_movie=seen.movie,
                grad_norms=dict(grad_norms),
                total_norm=total_norm,
                clip_coefficient=clip_coefficient,
                rows_touched={name: seen.rows_touched[table.side] for name, table in self._tables.items()},
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
        """End an epoch: look at the tables, if that is due."""
        rows_cost, self._rows_cost = self._rows_cost, 0.0
        if not self._pace.looks_after(self._epoch):
            return
        before = self._recording.seconds
        self._look()
        if self._pace.epoch_every is None:
            costs, look = self._pace.costs, self._recording.seconds - before + rows_cost
            # The first may pay for what is done for the first time, any for what the machine does beside it.
            costs.epoch = min(costs.epoch or look, look)
            if self._epoch >= FIRST_EPOCHS:
                costs.training = self._training_seconds() / self._step
                self._pace.choose_epochs(spent=self._recording.seconds, step=self._step)

    def finish(self) -> None:
        """End the phase: look at the tables as they are left, and hand on what watching cost."""
        if self._epoch and self._looked != self._epoch:
            self._look()
        training = max(self._trained, 1e-9)
        self._emit(
            MonitorCost(
                phase=self._plan.phase,
                seconds=self._recording.seconds,
                training_seconds=training,
                overhead_fraction=self._recording.seconds / training,
                sample_every=self._pace.sample_every or CALIBRATION_STEPS,
                epoch_every=self._pace.epoch_every or 1,
                samples=self._samples,
            )
        )

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed phase needs to go on in the same way, tensors and records (`taken`) included.

        At the end of an epoch, or between two of its steps once it `is_calibrating` no more; what `end_steps` will
        be given of the steps so far is not in it.
        """
        self._read_samples()
        return {
            "format": _FORMAT,
            "sample_every": self._pace.sample_every,
            "epoch_every": self._pace.epoch_every,
            "epoch": self._epoch,
            "looked": self._looked,
            "step": self._step,
            "samples": self._samples,
            "taken": list(self._taken),
            "costs": asdict(self._pace.costs),
            "rows_cost": self._rows_cost,
            "had_gradient": dict(self._had_gradient),
            "recording_seconds": self._recording.seconds,
            "training_seconds": self._training_seconds(),
            "tables": {name: watch.state() for name, watch in self._watches.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state in place of `start`: the same steps are sampled as without a break."""
        self._pace.sample_every, self._pace.epoch_every = state["sample_every"], state["epoch_every"]
        self._epoch, self._step, self._samples = state["epoch"], state["step"], state["samples"]
        self._taken, self._rows_cost = list(state["taken"]), state["rows_cost"]
        self._pace.costs = Costs(**state["costs"])
        self._looked, self._had_gradient = state["looked"], dict(state["had_gradient"])
        self._recording.seconds += state["recording_seconds"]
        self._trained = state["training_seconds"]
        for name, watch in self._watches.items():
            watch.restore(state["tables"][name])

    def _training_seconds(self) -> float:
        """Return the seconds spent on updates so far, recording not included."""
        if not self._epoch_began:
            return self._trained
        recorded = self._recording.seconds - self._recorded_before
        return self._trained + self._clock() - self._epoch_began - recorded

    def _reduce(self) -> None:
        """Reduce what waits; where it is time to, choose how often to sample from what this took."""
        steps, before = self._reducer.waiting, self._recording.seconds
        with self._recording:
            self._reducer.reduce_errors()
        if steps:
            self._pace.costs.step = self._keeping + (self._recording.seconds - before) / steps
        before = self._recording.seconds
        with self._recording:
            self._reducer.count_rows()
        self._rows_cost += self._recording.seconds - before
        if self._pace.is_open(self._step):
            self._choose_samples()

    def _read_samples(self) -> None:
        with self._recording:
            self._taken += [probe.read() for probe in self._probes]
        self._probes = []

    def _choose_samples(self) -> None:
        costs, taken = self._pace.costs, [probe.seconds for probe in self._probes[1:]]
        costs.sample = READING * float(np.median(taken)) if taken else 0.0
        costs.training = (self._training_seconds() - self._before_steps) / self._step
        self._pace.choose_samples(spent=self._recording.seconds)
        self._plan_sample()

    def _plan_sample(self) -> None:
        self._next_sample = self._pace.next_sample(self._step, end=self._end)

    def _look(self) -> None:
        with self._recording:
            record = self._tables_now()
        self._had_gradient, self._looked = dict.fromkeys(self._tables, False), self._epoch
        self._emit(record)

    def _initial(self) -> InitialRecord:
        statistics, plan = self._statistics, self._plan
        return InitialRecord(
            phase=plan.phase,
            prediction_std=self._spreads()[0],
            rating_std=statistics.rating_std,
            rating_min=statistics.rating_min,
            rating_max=statistics.rating_max,
            num_ratings=self._num_ratings,
            batch_size=plan.batch_size,
            learning_rate=plan.learning_rate,
            max_grad_norm=plan.max_grad_norm,
            regularization=plan.regularization,
            planned_steps=self._pace.planned_steps,
            rows={name: len(table.weights) for name, table in self._tables.items()},
            cold_rows={name: watch.cold_rows for name, watch in self._watches.items()},
            # Named only where the table's own name does not say it; see `InitialRecord.sides`.
            sides={name: table.side for name, table in self._tables.items() if name.partition("_")[0] != table.side},
            ratings_by_decile={name: statistics.shares[table.side] for name, table in self._tables.items()},
        )

    def _tables_now(self) -> EpochGradients:
        moments = self._second_moments()
        tables = {
            name: watch.look(
                self._epoch,
                second_moment=moments.get(name),
                had_gradient=self._had_gradient[name],
            )
            for name, watch in self._watches.items()
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
