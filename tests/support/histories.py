"""Made-up histories of training, small and without torch: what the reports are drawn from in tests."""

import numpy as np

from cfmodel.gradients.recording.gradient_records import (
    TABLES,
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

ROWS = {"user_embeddings": 600, "user_biases": 600, "movie_embeddings": 300, "movie_biases": 300}
WIDTH = {"user_embeddings": 8, "user_biases": 1, "movie_embeddings": 8, "movie_biases": 1}


def bucket(values: np.ndarray) -> np.ndarray:
    """Count float32 values by sign and exponent, the plain way."""
    bits = values.astype(np.float32).ravel().view(np.uint32)
    return np.bincount(bits >> 23, minlength=512)


def history(
    *, epochs: int = 6, steps: int = 64, every: int = 8, scale: float = 1.0, refit: bool = True, seed: int = 0
) -> list[GradientRecord]:
    """Return the records of a training whose gradients shrink as it goes on."""
    random = np.random.default_rng(seed)
    phases = ("fit", "refit") if refit else ("fit",)
    return [record for phase in phases for record in _phase(phase, epochs, steps, every, scale, random)]


def _phase(
    phase: str, epochs: int, steps: int, every: int, scale: float, random: np.random.Generator
) -> list[GradientRecord]:
    records: list[GradientRecord] = [_initial(phase, epochs * steps)]
    for epoch in range(1, epochs + 1):
        first = (epoch - 1) * steps + 1
        records += [
            _sample(phase, epoch, step, step / (epochs * steps), scale, random)
            for step in range(first, first + steps)
            if step % every == 0 or step & (step - 1) == 0
        ]
        records += [_block(phase, epoch, first, steps, epochs, scale, random), _epoch(phase, epoch, epoch * steps)]
    samples = sum(isinstance(record, StepSample) for record in records)
    outcome = Outcome(phase, (0.9, 0.8), 6_000, 1.1, 0.95, 12.0)
    return [*records, outcome, MonitorCost(phase, 0.02, 1.6, 0.0125, every, 1, samples)]


def _initial(phase: str, planned: int) -> InitialRecord:
    deciles = {table: np.linspace(0.02, 0.18, 10) for table in TABLES}
    return InitialRecord(
        phase, 0.0007, 1.12, 0.5, 5.0, 60_000, 256, 0.003, 1.0, 0.05, planned, ROWS, dict.fromkeys(TABLES, 0), deciles
    )


def _block(
    phase: str, epoch: int, first: int, steps: int, epochs: int, scale: float, random: np.random.Generator
) -> StepBlock:
    done = np.arange(first, first + steps) / (epochs * steps)
    noise = random.lognormal(0, 0.15, steps)
    error = (0.7 + 0.5 * np.exp(-4 * done)) * noise
    norms = {
        table: scale * (0.2 + 0.9 * np.exp(-5 * done)) * noise * (1 if "biases" in table else 0.6) for table in TABLES
    }
    total = np.sqrt(sum(norm**2 for norm in norms.values()))
    user, movie = random.integers(0, 600, steps), random.integers(0, 300, steps)
    touched = {table: np.full(steps, rows // 3) for table, rows in ROWS.items()}
    return StepBlock(
        phase,
        epoch,
        first,
        error + 0.02,
        error,
        2.5 + random.random(steps),
        user,
        movie,
        norms,
        total,
        np.minimum(1, 1 / (total + 1e-6)),
        touched,
        np.ones(steps, bool),
    )


def _sample(phase: str, epoch: int, step: int, done: float, scale: float, random: np.random.Generator) -> StepSample:
    tables = {table: _table(table, done, scale, random) for table in TABLES}
    return StepSample(
        phase,
        epoch,
        step,
        256,
        0.003 * (1 - done),
        tables,
        np.array([0.1, 0.7, 1.9, 3.2, 6.0]),
        9.0,
        8.0,
        0.02 - 0.021 * done,
        400.0,
    )


def _table(table: str, done: float, scale: float, random: np.random.Generator) -> TableSample:
    touched, width = ROWS[table] // 3, WIDTH[table]
    gradients = (
        scale * random.normal(0, 0.02 * np.exp(-3 * done), (touched, width)) * random.lognormal(0, 1, (touched, 1))
    )
    gradients[0] = 0
    ratio = float("inf") if done < 0.01 and width == 1 else 0.02 * (1 - done) + 0.002
    energy = np.linspace(1, 3, 10) / 20
    return TableSample(
        bucket(gradients),
        bucket(np.linalg.norm(gradients, axis=1)),
        touched,
        width,
        0,
        0,
        0,
        2 / 3,
        ratio,
        0.4 * np.exp(-done),
        0.3 + 0.3 * done,
        0.01,
        energy,
    )


def _epoch(phase: str, epoch: int, step: int) -> EpochGradients:
    quantiles = np.array([0.1, 0.3, 0.5, 0.8, 1.3])
    tables = {
        table: TableHealth(
            rows,
            0,
            (),
            False,
            0,
            0.0,
            1.0,
            (),
            quantiles,
            6.1 if WIDTH[table] > 1 else None,
            0.02 if WIDTH[table] > 1 else None,
            1.0,
        )
        for table, rows in ROWS.items()
    }
    return EpochGradients(phase, epoch, step, tables, 0.6, 0.3)
