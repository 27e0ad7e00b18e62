"""The monitor: watches training through names and tensors, and hands on frozen records.

It reads and never writes, so what is learned is bit for bit the same with and without it. Within a
step it never waits for the device: what it sees there is reduced in blocks, and read once an epoch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from cfmodel.config import MonitorSettings
from cfmodel.gradients.grid import on_grid
from cfmodel.gradients.pace import Pace
from cfmodel.gradients.records import (
    EMBEDDINGS,
    EpochGradients,
    Floats,
    GradientRecord,
    InitialRecord,
    MonitorCost,
    StepBlock,
)
from cfmodel.gradients.sampling import Position, Probe, Surroundings
from cfmodel.gradients.scalars import StepReducer
from cfmodel.gradients.stopwatch import Stopwatch
from cfmodel.gradients.tables import TableWatch
from cfmodel.gradients.touched import DECILES, popularity_deciles, side_of

#: Training ratings whose predictions are spread-checked.
PREDICTIONS = 4096

_FORMAT = 1


class Ratings(Protocol):
    """Ratings as tensors of one device, each of shape (N,)."""

    @property
    def user_idx(self) -> Tensor: ...
    @property
    def movie_idx(self) -> Tensor: ...
    @property
    def rating(self) -> Tensor: ...


@dataclass(frozen=True)
class Plan:
    """What a phase of training is about to do.

    Attributes:
        phase: `fit` or `refit`.
        epochs: Most passes over the ratings.
        batch_size: Ratings in a step.
        learning_rate: Step size at the start.
        max_grad_norm: Norm above which gradients are scaled down.
        regularization: Weight of the penalty on the embeddings.
        phases: Trainings in the run, which share its budget.
    """

    phase: str
    epochs: int
    batch_size: int
    learning_rate: float
    max_grad_norm: float
    regularization: float
    phases: int = 1


class Monitor:
    """Watches one phase of training.

    `start`, then for each epoch `begin_epoch`; for each step `probe` and, with the errors, `add`;
    `end_steps`, `end_epoch`; at the end `finish`.

    Args:
        tables: The tables that are learned, by name, each of shape (rows, K), with gradients in `.grad`.
        ratings: The N training ratings, rows in range.
        plan: What the phase is about to do.
        settings: How closely to look.
        emit: Takes each record as it is made.
        second_moments: Gives Adam's running mean of squared gradients of a table, or None.
    """

    def __init__(
        self,
        tables: Mapping[str, Tensor],
        ratings: Ratings,
        *,
        plan: Plan,
        settings: MonitorSettings,
        emit: Callable[[GradientRecord], None],
        second_moments: Callable[[Tensor], Tensor | None],
    ) -> None:
        self._tables, self._ratings, self._plan, self._emit = tables, ratings, plan, emit
        self._second_moments = second_moments
        self._recording, self._training = Stopwatch(), Stopwatch()
        with self._recording:
            self._counts = {side: self._count(side) for side in ("user", "movie")}
            self._deciles = {side: popularity_deciles(counts) for side, counts in self._counts.items()}
            self._watches = {
                name: TableWatch(name, table, self._counts[side_of(name)]) for name, table in tables.items()
            }
        copies = {name: torch.empty_like(table, requires_grad=False) for name, table in tables.items()}
        self._around = Surroundings(tables, self._deciles, plan.regularization, copies, self._recording)
        self._pace = Pace(len(ratings.rating), plan, settings, self._recording, self._training)
        self._reducer = StepReducer({side: len(counts) for side, counts in self._counts.items()}, plan.batch_size)
        self._probes: list[Probe] = []
        self._epoch = self._step = self._first_step = self._samples = 0
        self._had_gradient = dict.fromkeys(tables, False)

    def start(self) -> None:
        """Look at the model before its first update."""
        with self._recording:
            rating = self._ratings.rating
            record = InitialRecord(
                phase=self._plan.phase,
                prediction_std=self._spreads()[0],
                rating_std=float(rating.double().std(correction=0)),
                rating_min=float(rating.min()),
                rating_max=float(rating.max()),
                num_ratings=len(rating),
                batch_size=self._plan.batch_size,
                learning_rate=self._plan.learning_rate,
                max_grad_norm=self._plan.max_grad_norm,
                regularization=self._plan.regularization,
                planned_steps=self._pace.planned_steps,
                rows={name: len(table) for name, table in self._tables.items()},
                cold_rows={name: watch.cold_rows for name, watch in self._watches.items()},
                ratings_by_decile={name: self._ratings_by_decile(side_of(name)) for name in self._tables},
            )
        self._emit(record)

    def begin_epoch(self, epoch: int, user_idx: Tensor, movie_idx: Tensor) -> None:
        """Begin an epoch over the training ratings in this order."""
        self._epoch, self._first_step, self._samples = epoch, self._step + 1, self._samples
        self._reducer.begin(user_idx, movie_idx, count_rows=on_grid(epoch, self._pace.epoch_every))
        self._training.__enter__()

    def probe(self, learning_rate: float) -> Probe | None:
        """Begin a step; return what is to look at it, or None where it is not sampled.

        Args:
            learning_rate: Step size of this update.
        """
        self._step += 1
        if self._step != self._pace.next_sample:
            return None
        self._pace.sampling(self._step)
        probe = Probe(Position(self._plan.phase, self._epoch, self._step, learning_rate), self._around)
        self._probes.append(probe)
        return probe

    def add(self, error: Tensor) -> None:
        """End a step; keep its errors, shape (B,), to be reduced together with others'."""
        if self._reducer.add(error):
            with self._recording:
                self._reducer.reduce()
        if self._step == self._pace.chosen_after:
            self._choose_pace()

    def end_steps(
        self,
        *,
        loss: Floats,
        mean_squared_error: Floats,
        total_norm: Floats,
        clip_coefficient: Floats,
        grad_norms: Mapping[str, Floats],
    ) -> None:
        """End an epoch's steps, each array of shape (S,): hand on their block and the samples among them."""
        self._training.__exit__()
        with self._recording:
            largest, user, movie, touched = self._reducer.read()
            numbers = np.stack([loss, mean_squared_error, total_norm, largest, *grad_norms.values()])
            block = StepBlock(
                phase=self._plan.phase,
                epoch=self._epoch,
                first_step=self._first_step,
                loss=loss,
                mean_squared_error=mean_squared_error,
                largest_error=largest,
                largest_error_user=user,
                largest_error_movie=movie,
                grad_norms=dict(grad_norms),
                total_norm=total_norm,
                clip_coefficient=clip_coefficient,
                rows_touched={name: touched[side_of(name)] for name in self._tables},
                finite=np.isfinite(numbers).all(axis=0),
            )
            samples = [probe.read() for probe in self._probes]
            for name, norms in grad_norms.items():
                self._had_gradient[name] |= bool((norms > 0).any())
        self._samples += len(samples)
        self._probes.clear()
        for record in (block, *samples):
            self._emit(record)

    def end_epoch(self) -> None:
        """End an epoch: look at the tables, where their epoch is due."""
        if not on_grid(self._epoch, self._pace.epoch_every):
            return
        with self._recording, self._pace.epoch_watch:
            prediction_std, dot_std = self._spreads()
            record = EpochGradients(
                phase=self._plan.phase,
                epoch=self._epoch,
                step=self._step,
                tables={
                    name: watch.look(
                        self._epoch,
                        second_moment=self._second_moments(self._tables[name]),
                        had_gradient=self._had_gradient[name],
                    )
                    for name, watch in self._watches.items()
                },
                prediction_std=prediction_std,
                dot_std=dot_std,
            )
            self._had_gradient = dict.fromkeys(self._tables, False)
        self._emit(record)

    def finish(self) -> None:
        """End the phase: hand on what watching it cost."""
        seconds = self._recording.seconds
        training = max(self._training.seconds - self._pace.inside, 1e-9)
        self._emit(
            MonitorCost(
                phase=self._plan.phase,
                seconds=seconds,
                training_seconds=training,
                overhead_fraction=seconds / training,
                sample_every=self._pace.sample_every,
                epoch_every=self._pace.epoch_every,
                samples=self._samples,
            )
        )
