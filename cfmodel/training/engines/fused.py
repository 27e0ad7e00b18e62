"""The engine for the CPU: every step compiled, tables and Adam's moments in rows of its own."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from cfmodel.config import TrainSettings
from cfmodel.data.parts import RatingArrays
from cfmodel.gradients.monitor import Monitor
from cfmodel.gradients.sampling import Probe
from cfmodel.gradients.scalars import StepScalars
from cfmodel.gradients.touched import SIDES, TouchedRows, side_of
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batches import Batches
from cfmodel.training.engines import grouping, kernels
from cfmodel.training.engines.base import REPORTS_PER_EPOCH, AdamState
from cfmodel.training.engines.crew import Crew, available_cores
from cfmodel.training.engines.grouping import Groups, Room, arranged, group
from cfmodel.training.engines.kernels import Constants, run_steps
from cfmodel.training.engines.layout import padded_side, table_view
from cfmodel.training.log import Floats, StepLog
from cfmodel.training.records import TABLES
from cfmodel.training.schedule import learning_rate_at

#: Adam's own numbers, as torch has them.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
#: Ratings a chunk of a step has at least, and most chunks; neither depends on the number of threads.
_CHUNK_RATINGS, _MOST_CHUNKS = 128, 32


class FusedEngine:
    """Trains a model in place, its tables being views of the engine's padded rows.

    Args:
        model: Untrained, or as it was saved; on the CPU, in float32 or float64.
        train: N training ratings.
        batches: How they are dealt into batches.
        settings: Adam, schedule and clipping.
        regularization: Weight of the penalty.
        threads: How many to train with; None: one a core. The result does not depend on it.
    """

    name = "fused"

    def __init__(
        self,
        model: CollaborativeFiltering,
        train: RatingArrays,
        batches: Batches,
        *,
        settings: TrainSettings,
        regularization: float,
        threads: int | None = None,
    ) -> None:
        self.model, self.learning_rate = model, settings.learning_rate
        self._settings, self._batches = settings, batches
        self._dtype = model.user_biases.weight.numpy(force=True).dtype
        self._crew = Crew(threads or available_cores())
        self._step = 0
        self._users, self._movies, self._columns = arranged(train, batches, len(model.movie_biases.weight))
        size = batches.largest
        self._sides = {name: padded_side(model, name, size, self._dtype) for name in SIDES}
        numbers = float(model.global_mean), regularization, 1 - BETA_1, 1 - BETA_2, EPSILON, settings.max_grad_norm
        dim = model.user_embeddings.embedding_dim
        self._constants = Constants(np.array(numbers, self._dtype), dim, settings.adam == "all_rows")
        self._chunks = int(np.clip(size // _CHUNK_RATINGS, 1, _MOST_CHUNKS))
        self._parts = np.zeros((2, self._chunks, kernels.PARTS))
        self._error = np.empty(size, self._dtype)
        self._groups = {name: Groups.empty(batches.most_in_block, size) for name in SIDES}
        shape = self._groups["user"].rows.shape
        self._room = Room(
            rating=np.empty(shape, self._dtype),
            slot=np.empty(shape, np.int32),
            place=np.empty(batches.largest_block, np.int32),
            counts=np.empty((2, 2, grouping.CHUNKS, batches.most_in_block), np.int64),
        )

    def run_epoch(self, epoch: int, *, on_progress: Callable[[float], None], monitor: Monitor | None = None) -> StepLog:
        """Update the model once per batch, each rating in exactly one batch, and return what the steps saw."""
        rates = self._rates(epoch)
        seen = np.empty((self._batches.steps, kernels.COLUMNS))
        sizes = np.empty(self._batches.steps, np.int64)
        if monitor is not None:
            monitor.begin_epoch(epoch)
        done = 0
        for block in self._batches.blocks_of(epoch):
            self._group(epoch, block)
            steps = slice(done, done + self._batches.in_block(block))
            sizes[steps] = [self._size(at) for at in range(steps.stop - done)]
            for stretch in self._stretches(steps.stop - done, monitor):
                if monitor is not None and not monitor.free_steps(1):
                    self._run_watched(stretch, rates[steps], seen[steps], monitor)
                else:
                    self._run(stretch, 0, rates[steps], seen[steps])
                    if monitor is not None:
                        monitor.passed(stretch.stop - stretch.start)
                on_progress((done + stretch.stop) / len(seen))
            done = steps.stop
        self._step += len(seen)
        self.learning_rate = float(rates[-1, 2])
        loss, squared_error, total, coefficient = seen[:, : kernels.NORMS].T
        norms = seen[:, kernels.NORMS : kernels.NORMS + len(TABLES)]
        log = StepLog(sizes, loss, squared_error, total, coefficient, norms)
        if monitor is not None:
            monitor.end_steps(**log.columns(), scalars=_scalars(seen))
        return log

    def adam(self) -> AdamState:
        """Return Adam's state; the tensors are views of the engine's own."""
        first, second = (
            {
                name: table_view(getattr(self._sides[side_of(name)], moment), name, self._constants.dim)
                for name in TABLES
            }
            for moment in ("first", "second")
        )
        return AdamState(self._step, first, second)

    def resume(self, state: AdamState) -> None:
        """Go on from a state that `adam` returned; the model's tables are set already."""
        own = self.adam()
        for name in TABLES:
            own.first_moments[name].copy_(state.first_moments[name])
            own.second_moments[name].copy_(state.second_moments[name])
        self._step = state.step

    def close(self) -> None:
        """Let the threads end and give the model tables of its own."""
        self._crew.close()
        for table in self.model.parameters():
            table.data = table.data.clone(memory_format=torch.contiguous_format)

    def _stretches(self, steps: int, monitor: Monitor | None) -> Iterator[slice]:
        """Divide a block's steps into stretches done in one go: up to the next report, or look of the monitor."""
        stride = max(1, self._batches.steps // REPORTS_PER_EPOCH)
        at = 0
        while at < steps:
            free = stride if monitor is None else max(1, monitor.free_steps(stride))
            yield slice(at, min(at + free, steps))
            at = min(at + free, steps)

    def _group(self, epoch: int, block: int) -> None:
        batch = self._batches.deal(epoch, block)
        count = self._batches.in_block(block)
        by_user, by_movie = (_first(groups, count) for groups in self._groups.values())
        room = self._room._replace(counts=self._room.counts[..., :count])
        self._crew.run(
            group, grouping.PHASES, block, batch, self._users, self._movies, self._columns, by_user, by_movie, room
        )

    def _run(self, steps: slice, stage: int, rates: Floats, seen: Floats) -> None:
        self._crew.run(
            run_steps,
            kernels.PHASES * (steps.stop - steps.start),
            steps.start,
            steps.stop,
            stage,
            self._chunks,
            *self._sides.values(),
            *self._groups.values(),
            (self._room.rating, self._room.slot, self._error),
            self._parts,
            rates[:, :2].astype(self._dtype),
            self._constants,
            seen,
        )

    def _run_watched(self, step: slice, rates: Floats, seen: Floats, monitor: Monitor) -> None:
        """Do one step in two halves, between which a probe looks at the gradients."""
        probe = monitor.probe(float(rates[step.start, 2]))
        self._run(step, 1, rates, seen)
        if probe is not None:
            self._show(probe, step.start)
        self._run(step, 2, rates, seen)
        if probe is not None:
            probe.after()

    def _show(self, probe: Probe, step: int) -> None:
        size, scale = self._size(step), 2 / self._size(step)
        touched, looked_up = {}, {}
        for name in SIDES:
            groups, other = self._groups[name], "movie" if name == "user" else "user"
            number = groups.number[step]
            rows = torch.from_numpy(groups.rows[step, :number]).long()
            counts = torch.from_numpy(np.diff(groups.starts[step, : number + 1]).astype(np.float32))
            touched[name] = TouchedRows(rows, counts, None, torch.tensor(int(number)))
            looked_up[other] = torch.from_numpy(groups.others[step, :size])
        # Errors lie in the users' order; so must the rows that are looked up with them.
        user, movie = touched["user"], looked_up["movie"]
        probe.before(
            {"user": user.rows.repeat_interleave(user.counts.long()), "movie": movie},
            torch.from_numpy(self._error[:size]),
            touched=touched,
            gradients={
                name: table_view(self._sides[side_of(name)].gradient[: len(touched[side_of(name)].rows)], name,
                            self._constants.dim) * scale
                for name in TABLES
            },
        )  # fmt: skip

    def _size(self, step: int) -> int:
        groups = self._groups["user"]
        return int(groups.starts[step, groups.number[step]])

    def _rates(self, epoch: int) -> Floats:
        """Return what each step of an epoch multiplies by, and its learning rate, shape (S, 3)."""
        steps = self._batches.steps
        rate = np.array(
            [learning_rate_at((epoch - 1 + at / steps) / self._settings.epochs, self._settings) for at in range(steps)]
        )
        number = self._step + 1 + np.arange(steps)
        first, second = 1 - BETA_1**number, np.sqrt(1 - BETA_2**number)
        # The two differ in what epsilon is added to, as torch's Adam and SparseAdam do.
        step, root = (rate / first, 1 / second) if self._constants.all_rows else (rate / first * second, 1 + 0 * rate)
        return np.stack([step, root, rate], axis=1)


def _first(groups: Groups, count: int) -> Groups:
    return Groups(*(column[:count] for column in groups))


def _scalars(seen: Floats) -> StepScalars:
    number = {"user": kernels.USERS, "movie": kernels.MOVIES}
    user, movie = (seen[:, column].astype(np.int64) for column in (kernels.LARGEST_USER, kernels.LARGEST_MOVIE))
    return StepScalars(
        seen[:, kernels.LARGEST], user, movie, {side: seen[:, at].astype(np.int64) for side, at in number.items()}
    )
