"""Made-up histories of training, small and without torch: what the reports are drawn from in tests."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cfmodel.gradients.recording.gradient_records import (
    EpochGradients,
    GradientRecord,
    InitialRecord,
    MonitorCost,
    Outcome,
    StepBlock,
    StepSample,
    TableHealth,
    TableSample,
)

#: Rows and columns of each table, by table.
Shapes = Mapping[str, tuple[int, int]]

FOUR: Shapes = {
    "user_embeddings": (600, 8),
    "user_biases": (600, 1),
    "movie_embeddings": (300, 8),
    "movie_biases": (300, 1),
}
FIVE: Shapes = {**FOUR, "movie_offsets": (300, 1)}
#: Names that say nothing about sides, and what their rows stand for.
OTHERS: Shapes = {"encoder.weight": (600, 8), "bias": (600, 1), "decoder.weight": (300, 8)}
OTHER_SIDES = {"encoder.weight": "user", "bias": "user", "decoder.weight": "movie"}


def bucket(values: np.ndarray) -> np.ndarray:
    """Count float32 values by sign and exponent, the plain way."""
    bits = values.astype(np.float32).ravel().view(np.uint32)
    return np.bincount(bits >> 23, minlength=512)


def history(
    *,
    epochs: int = 6,
    steps: int = 64,
    every: int = 8,
    scale: float = 1.0,
    refit: bool = True,
    seed: int = 0,
    tables: Shapes = FOUR,
    sides: Mapping[str, str] | None = None,
) -> list[GradientRecord]:
    """Return the records of a training whose gradients shrink as it goes on."""
    random = np.random.default_rng(seed)
    phases = ("fit", "refit") if refit else ("fit",)
    made = [_Phase(phase, epochs, steps, every, scale, random, tables, dict(sides or {})) for phase in phases]
    return [record for phase in made for record in phase.records()]


@dataclass(frozen=True)
class _Phase:
    phase: str
    epochs: int
    steps: int
    every: int
    scale: float
    random: np.random.Generator
    tables: Shapes
    sides: dict[str, str]

    def records(self) -> Iterator[GradientRecord]:
        yield self._initial()
        samples = 0
        for epoch in range(1, self.epochs + 1):
            first = (epoch - 1) * self.steps + 1
            for step in range(first, first + self.steps):
                if step % self.every == 0 or step & (step - 1) == 0:
                    yield self._sample(epoch, step)
                    samples += 1
            yield self._block(epoch, first)
            yield self._epoch(epoch)
        yield Outcome(self.phase, (0.9, 0.8), 6_000, 1.1, 0.95, 12.0)
        yield MonitorCost(self.phase, 0.02, 1.6, 0.0125, self.every, 1, samples)

    def _initial(self) -> InitialRecord:
        deciles = {table: np.linspace(0.02, 0.18, 10) for table in self.tables}
        rows = {table: rows for table, (rows, _) in self.tables.items()}
        cold, planned = dict.fromkeys(self.tables, 0), self.epochs * self.steps
        settings = (60_000, 256, 0.003, 1.0, 0.05, planned)
        return InitialRecord(self.phase, 0.0007, 1.12, 0.5, 5.0, *settings, rows, cold, deciles, self.sides)

    def _block(self, epoch: int, first: int) -> StepBlock:
        done = np.arange(first, first + self.steps) / (self.epochs * self.steps)
        noise = self.random.lognormal(0, 0.15, self.steps)
        error = (0.7 + 0.5 * np.exp(-4 * done)) * noise
        size = self.scale * (0.2 + 0.9 * np.exp(-5 * done)) * noise
        norms = {table: size * (1 if width == 1 else 0.6) for table, (_, width) in self.tables.items()}
        total = np.sqrt(sum(norm**2 for norm in norms.values()))
        user, movie = self.random.integers(0, 600, self.steps), self.random.integers(0, 300, self.steps)
        largest = 2.5 + self.random.random(self.steps)
        touched = {table: np.full(self.steps, rows // 3) for table, (rows, _) in self.tables.items()}
        clip, finite = np.minimum(1, 1 / (total + 1e-6)), np.ones(self.steps, bool)
        return StepBlock(
            self.phase, epoch, first, error + 0.02, error, largest, user, movie, norms, total, clip, touched, finite
        )

    def _sample(self, epoch: int, step: int) -> StepSample:
        done = step / (self.epochs * self.steps)
        tables = {table: self._table(done, *shape) for table, shape in self.tables.items()}
        quantiles, rate = np.array([0.1, 0.7, 1.9, 3.2, 6.0]), 0.003 * (1 - done)
        return StepSample(self.phase, epoch, step, 256, rate, tables, quantiles, 9.0, 8.0, 0.02 - 0.021 * done, 400.0)

    def _table(self, done: float, rows: int, width: int) -> TableSample:
        touched = rows // 3
        values = self.random.normal(0, 0.02 * np.exp(-3 * done), (touched, width))
        gradients = self.scale * values * self.random.lognormal(0, 1, (touched, 1))
        gradients[0] = 0
        ratio = float("inf") if done < 0.01 and width == 1 else 0.02 * (1 - done) + 0.002
        counts = bucket(gradients), bucket(np.linalg.norm(gradients, axis=1))
        moved = (ratio, 0.4 * np.exp(-done), 0.3 + 0.3 * done, 0.01)
        return TableSample(*counts, touched, width, 0, 0, 0, 2 / 3, *moved, np.linspace(1, 3, 10) / 20)

    def _epoch(self, epoch: int) -> EpochGradients:
        quantiles = np.array([0.1, 0.3, 0.5, 0.8, 1.3])
        tables = {
            table: TableHealth(
                rows, 0, (), False, 0, 0.0, 1.0, (), quantiles, *((6.1, 0.02) if width > 1 else (None, None)), 1.0
            )
            for table, (rows, width) in self.tables.items()
        }
        return EpochGradients(self.phase, epoch, epoch * self.steps, tables, 0.6, 0.3)
