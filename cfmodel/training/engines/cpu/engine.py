"""The fused engine for the CPU: compiled steps over padded rows of weights and Adam's moments."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np
import torch

from cfmodel.config import TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.gradients.measuring.monitor import Monitor
from cfmodel.gradients.measuring.probe import Probe
from cfmodel.gradients.measuring.step_scalars import StepScalars
from cfmodel.model import CollaborativeFiltering
from cfmodel.optimizer import BETA_1, BETA_2, EPSILON
from cfmodel.tables import SIDES
from cfmodel.training.batching.batches import Batches
from cfmodel.training.engines.cpu import kernels
from cfmodel.training.engines.cpu.grouping import (
    FIELDS,
    MOVIE_FIRST,
    USER_FIRST,
    Cells,
    Grouped,
    assign_to_batches,
    cells_of,
)
from cfmodel.training.engines.cpu.kernels import Constants, run_steps
from cfmodel.training.engines.cpu.padded_tables import padded_side, views_of
from cfmodel.training.engines.cpu.probe_view import ProbeView, probe_view
from cfmodel.training.engines.cpu.thread_team import ThreadTeam
from cfmodel.training.engines.protocol import REPORTS_PER_EPOCH, AdamState, OnProgress, unshare_tables
from cfmodel.training.engines.row_layout import FUSED_TABLES, cannot_train
from cfmodel.training.engines.step_log import NO_STEPS, Floats, StepLog
from cfmodel.training.planning.devices import available_cores
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.planning.schedule import learning_rates

#: Fewest ratings that the threads are started for at a time.
_STRETCH = 2**19
#: Precisions that everything is compiled for in this process.
_COMPILED: set[Any] = set()


class CpuEngine:
    """Trains a model in place, its tables being views of the engine's padded rows.

    Until the engine is closed, torch computes in the calling thread alone.

    Args:
        model: Untrained or loaded; on the CPU, in float32 or float64.
        batches: Batches of the training ratings.
        plan: Ratings, Adam, schedule, penalty and clipping.
        threads: Number of threads; None: one per core. The result does not depend on it.
    """

    name = "fused"

    def __init__(
        self, model: CollaborativeFiltering, batches: Batches, plan: TrainingPlan, *, threads: int | None = None
    ) -> None:
        settings = plan.settings
        self.model, self.learning_rate = model, settings.learning_rate
        self._settings, self._batches = settings, batches
        self._dtype = next(model.parameters()).numpy(force=True).dtype
        _compile(self._dtype)
        self._team = ThreadTeam(min(threads or available_cores(), batches.lanes))
        # The operations between the steps are too small for torch to start other threads.
        self._torch_threads = torch.get_num_threads()
        torch.set_num_threads(1)
        self._step = 0
        self._cells = cells_of(plan.train, batches, self._team)
        sizes, penalty = _BufferSizes.of(self._cells, batches), plan.penalty_weights()
        self._sides = {
            name: padded_side(model, name, penalty, groups, batches.lanes, self._dtype)
            for name, groups in zip(SIDES, sizes.groups, strict=True)
        }
        dim = model.embedding_dim
        self._moments = [
            {
                name: view
                for side, padded in self._sides.items()
                for name, view in views_of(getattr(padded, moment), side, dim).items()
            }
            for moment in ("first", "second")
        ]
        numbers = 1 - BETA_1, 1 - BETA_2, EPSILON, settings.max_grad_norm
        self._constants = Constants(np.array(numbers, self._dtype), dim, settings.adam == "all_rows")
        self._sums = np.zeros((batches.lanes, len(SIDES), kernels.SUMS))
        self._error = np.empty((batches.lanes, sizes.ratings), self._dtype)
        # If a visit is one batch, the steps read the cells themselves.
        self._grouped = self._cells.by_user, self._cells.by_movie
        if batches.per_visit > 1:
            groups = sizes.visit + batches.lanes * batches.per_visit
            rating = self._cells.by_user.values.dtype
            self._grouped = (
                Grouped.empty(groups, sizes.visit, rating),
                Grouped.empty(groups, sizes.visit, np.int32),
            )
        self._parts = np.empty((0, batches.lanes, FIELDS), np.int64)
        self._earlier, self._done, self._numbers = NO_STEPS, 0, np.empty((0, kernels.COLUMNS))

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
        visits = self._visits(epoch)
        total = sum(batches for _, batches in visits)
        rates = self._rates(epoch, total, steps_before=self._step - len(earlier))
        self._earlier, self._done = earlier, len(earlier)
        self._numbers = numbers = np.empty((total, kernels.COLUMNS))
        if monitor is not None:
            monitor.begin_epoch(epoch, total - len(earlier))
        last = 0
        for visit, batches in visits:
            steps = slice(last, last + batches)
            last = steps.stop
            if last <= self._done:
                continue
            self._assign(epoch, visit, batches)
            for stretch in self._stretches(self._done - steps.start, batches, monitor):
                if monitor is not None and not monitor.steps_before_sample(1):
                    self._run_monitored(stretch, rates[steps], numbers[steps], monitor)
                else:
                    self._run(stretch, 0, rates[steps], numbers[steps])
                    if monitor is not None:
                        monitor.count_steps(stretch.stop - stretch.start)
                self._step += stretch.stop - stretch.start
                self._done = steps.start + stretch.stop
                on_progress(self._done / total)
        self.learning_rate = float(rates[-1, 2])
        log = self.log()
        if monitor is not None:
            monitor.end_steps(**log.columns())
        return log

    def log(self) -> StepLog:
        """Return the log of the epoch's steps so far."""
        numbers = self._numbers[len(self._earlier) : self._done]
        loss, squared_error, norm, coefficient = numbers[:, : kernels.NORMS].T
        norms = numbers[:, kernels.NORMS : kernels.NORMS + len(FUSED_TABLES)]
        sizes = numbers[:, kernels.SIZE].astype(np.int64)
        log = StepLog(FUSED_TABLES, sizes, loss, squared_error, norm, coefficient, norms, _scalars(numbers))
        return log.after(self._earlier)

    def adam(self) -> AdamState:
        """Return Adam's state; the tensors are views of the engine's own."""
        return AdamState(self._step, *self._moments)

    def resume(self, state: AdamState) -> None:
        """Continue from a state that `adam` returned; the model's tables must be set already."""
        self.adam().copy_from(state)
        self._step = state.step

    def close(self) -> None:
        """End the threads, free the ratings and give the model tables of its own."""
        self._team.close()
        torch.set_num_threads(self._torch_threads)
        del self._cells, self._grouped, self._error
        unshare_tables(self.model)

    def _stretches(self, at: int, steps: int, monitor: Monitor | None) -> Iterator[slice]:
        """Yield a visit's steps from one on in stretches, each up to the next progress report or sampled step."""
        stride = max(self._batches.steps // REPORTS_PER_EPOCH, _STRETCH // self._batches.batch_size, 1)
        while at < steps:
            free = stride if monitor is None else max(1, monitor.steps_before_sample(stride))
            yield slice(at, min(at + free, steps))
            at = min(at + free, steps)

    def _visits(self, epoch: int) -> list[tuple[Any, int]]:
        """Return the cells and the number of batches of each visit; visits of one batch each as a single one."""
        visits = self._batches.visits_of(epoch)
        if self._batches.per_visit > 1:
            return list(visits)
        return [(np.stack([cells for cells, _ in visits]), len(visits))]

    def _assign(self, epoch: int, visit: Any, batches: int) -> None:
        """Assign the ratings of a visit to its batches."""
        if self._batches.per_visit == 1:
            self._parts = self._cells.parts[visit]
            return
        sizes = np.diff(self._batches.starts)[visit]
        batch = np.concatenate([self._batches.assign(epoch, cell, batches) for cell in visit.tolist()])
        self._parts = np.empty((batches, len(visit), FIELDS), np.int64)
        self._team.run(
            assign_to_batches,
            1,
            len(visit),
            self._cells,
            visit,
            batch,
            np.cumsum(sizes) - sizes,
            *self._grouped,
            self._parts,
        )

    def _run(self, steps: slice, stage: int, rates: Floats, numbers: Floats) -> None:
        self._team.run(
            run_steps,
            kernels.PHASES * (steps.stop - steps.start),
            kernels.CHUNKS * self._batches.lanes,
            steps.start,
            steps.stop,
            stage,
            self._parts,
            *self._grouped,
            *self._sides.values(),
            self._error,
            self._sums,
            rates[:, :2].astype(self._dtype),
            self._constants,
            numbers,
        )

    def _run_monitored(self, step: slice, rates: Floats, numbers: Floats, monitor: Monitor) -> None:
        """Do one step in two halves, between which a probe measures the gradients."""
        probe = monitor.probe(float(rates[step.start, 2]))
        self._run(step, 1, rates, numbers)
        if probe is not None:
            self._measure_gradients(probe, step.start)
        self._run(step, 2, rates, numbers)
        if probe is not None:
            probe.measure_update()

    def _measure_gradients(self, probe: Probe, step: int) -> None:
        with probe.timed():
            view = self._probe_view(step)
        probe.measure_gradients(view.rows, view.error, touched=view.touched, gradients=view.gradients)

    def _probe_view(self, step: int) -> ProbeView:
        return probe_view(self._parts[step], self._grouped, self._sides, self._error, dim=self._constants.dim)

    def _rates(self, epoch: int, steps: int, *, steps_before: int) -> Floats:
        """Return each step's step size, its factor of the second moment's root, and its learning rate, shape (S, 3)."""
        rate = np.array(learning_rates(epoch, steps, self._settings))
        number = steps_before + 1 + np.arange(steps)
        first, second = 1 - BETA_1**number, np.sqrt(1 - BETA_2**number)
        # As in torch, Adam adds epsilon to the corrected root and SparseAdam to the uncorrected one.
        step, root = (rate / first, 1 / second) if self._constants.all_rows else (rate / first * second, 1 + 0 * rate)
        return np.stack([step, root, rate], axis=1)


class _BufferSizes(NamedTuple):
    """Most groups of users and of movies of a lane, most ratings of a lane, and most ratings of a visit."""

    groups: tuple[int, int]
    ratings: int
    visit: int

    @classmethod
    def of(cls, cells: Cells, batches: Batches) -> Self:
        sizes = np.diff(batches.starts)
        # A cell's ratings are divided evenly, give or take one.
        most = sizes if batches.per_visit == 1 else np.minimum(sizes, sizes // batches.per_visit + 2)
        users, movies = (cells.parts[:, field + 1] - cells.parts[:, field] for field in (USER_FIRST, MOVIE_FIRST))
        groups = int(np.minimum(users, most).max()), int(np.minimum(movies, most).max())
        largest = np.sort(sizes)[-batches.lanes :]
        return cls(groups, int(most.max()), int(largest.sum()))


def _scalars(numbers: Floats) -> StepScalars:
    number = {"user": kernels.USERS, "movie": kernels.MOVIES}
    user, movie = (numbers[:, column].astype(np.int64) for column in (kernels.LARGEST_USER, kernels.LARGEST_MOVIE))
    return StepScalars(
        numbers[:, kernels.LARGEST], user, movie, {side: numbers[:, at].astype(np.int64) for side, at in number.items()}
    )


def _compile(dtype: Any) -> None:
    """Compile everything, or load it from the cache, before training is timed: train on four ratings."""
    if dtype in _COMPILED:
        return
    _COMPILED.add(dtype)  # first, since the engine below gets here, too
    rows = np.array([0, 0, 1, 1], np.int32)
    ratings = RatingArrays(rows, rows[::-1].copy(), np.ones(4, np.float32))
    batches = Batches(ratings, num_users=2, num_movies=2, batch_size=2, seed=0)
    model = CollaborativeFiltering(2, 2, 1).to(torch.from_numpy(np.empty(0, dtype)).dtype)
    plan = TrainingPlan.of(
        ratings, None, num_users=2, num_movies=2, settings=TrainSettings(), device=torch.device("cpu")
    )
    engine = CpuEngine(model, batches, plan, threads=1)
    engine.run_epoch(1, on_progress=lambda _: None)
    engine._probe_view(0)
    engine.close()
