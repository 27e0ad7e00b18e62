"""Runs held against each other: settings, metrics, curves, and their gradients bucket by bucket."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cfmodel.errors import ConfigError
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import TABLES
from cfmodel.gradients.report.histogram_difference import GradientDifference, gradient_difference

#: Runs that one page can hold.
MOST_RUNS = 12
#: Points of progress at which two runs are compared, and the most histograms a page holds.
MOST_POINTS, MOST_HISTOGRAMS = 64, 400

#: Metrics whose best value is worth setting off, by the end of their name.
_LOWER, _HIGHER = ("rmse", "mae"), ("ndcg_at", "recall_at", "precision_at", "hit_rate_at", "lift")

#: What the model is held against: better floors make no better run.
_FLOORS = ("global_mean", "damped_bias", "popularity", "noise_floor")
#: What a reader looks at first.
HEADLINES = (
    "best_val_rmse",
    "best_epoch",
    "test/rmse",
    "test/mae",
    "test/ndcg_at_10",
    "test/lift_over_damped_bias_fraction",
    "time/train_seconds",
)

Curve = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class ComparedRun:
    """One run, as its store knows it.

    Attributes:
        name: Its name.
        run_id: Its id.
        params: Every parameter, as text.
        metrics: Last value of each metric.
        curves: `train/rmse` and `val/rmse` as (epoch, value), rising.
        history: What the monitor saw while it fitted; None where it was not watched.
        split_digest: Digest of the ratings it learned from and was tested on; None where that is not recorded.
    """

    name: str
    run_id: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    curves: Mapping[str, Curve] = field(default_factory=dict)
    history: GradientHistory | None = None
    split_digest: str | None = None

    @property
    def label(self) -> str:
        """Its name and the start of its id: names may repeat."""
        return f"{self.name} ({self.run_id[:6]})"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs held against the first of them.

    Attributes:
        runs: Two or more, the base first.
    """

    runs: tuple[ComparedRun, ...]

    def __post_init__(self) -> None:
        require_several(self.runs)
        if len({run.run_id for run in self.runs}) < len(self.runs):
            raise ConfigError(f"run {_repeated(self.runs)} is named twice: name different runs")

    @property
    def watched(self) -> tuple[ComparedRun, ...]:
        """The runs whose gradients were recorded; where there are two or more, the first is the base."""
        return tuple(run for run in self.runs if run.history is not None and run.history.samples)

    @property
    def same_data(self) -> bool:
        """Whether all runs learned from the same ratings and were tested on the same."""
        return len({run.split_digest for run in self.runs}) == 1

    def data_note(self) -> str | None:
        """Say that errors of these runs must not be held against each other; None where they may."""
        if self.same_data:
            return None
        digests = [(run.split_digest or "not recorded")[:12] for run in self.runs]
        told = ", ".join(f"{role(number)} {digest}" for number, digest in enumerate(digests))
        return (
            f"These runs are of different ratings (digests of the split: {told}). Their errors are on different rows "
            "and tell nothing about which model is better; `cfmodel promote` compares models on the rows they share."
        )

    def settings(self) -> list[list[str]]:
        """Return the settings that differ, one row each: name, then its value in each run."""
        names = dict.fromkeys(name for run in self.runs for name in run.params)
        rows = [[name, *(run.params.get(name, "not set") for run in self.runs)] for name in names]
        return [row for row in rows if len(set(row[1:])) > 1]

    def metrics(
        self, prefixes: Sequence[str] = ("test/", "best_", "time/train", "monitor/")
    ) -> list[tuple[str, list[float | None]]]:
        """Return the metrics of a run as a whole: name, then its value in each run, None where it has none."""
        names = sorted({name for run in self.runs for name in run.metrics if name.startswith(tuple(prefixes))})
        return [(name, [run.metrics.get(name) for run in self.runs]) for name in names]

    def differences(self, table: str) -> list[GradientDifference]:
        """Return the gradients of a table in every watched run beside the first one's."""
        base, *others = self.watched
        points = min(MOST_POINTS, MOST_HISTOGRAMS // (len(self.watched) * len(TABLES)))
        return [gradient_difference(_history(base), _history(other), table, points=points) for other in others]


def require_several(runs: Sequence[object]) -> None:
    """Refuse to compare fewer runs than two, or more than a page can hold.

    Raises:
        ConfigError: It is another number of runs.
    """
    if not 2 <= len(runs) <= MOST_RUNS:
        given = "1 run" if len(runs) == 1 else f"{len(runs):,} runs"
        raise ConfigError(f"{given} cannot be compared: name 2 to {MOST_RUNS} of them, by id, start of id or name")


def role(number: int) -> str:
    """Return what a run is called beside the others, by its place from 0."""
    return "base" if number == 0 else f"run {number + 1}"


def best_runs(name: str, values: Sequence[float | None]) -> list[int]:
    """Return the places of the best values of a metric; none where they are equal or where best means nothing."""
    known = [value for value in values if value is not None]
    of_a_floor = any(floor in name for floor in _FLOORS) and "lift" not in name
    if of_a_floor or len(known) < 2 or len(set(known)) == 1:
        return []
    if name.endswith(_LOWER):
        return [place for place, value in enumerate(values) if value == min(known)]
    if any(word in name for word in _HIGHER):
        return [place for place, value in enumerate(values) if value == max(known)]
    return []


def norm_curve(history: GradientHistory, table: str | None, *, points: int = 200) -> list[tuple[float, float]]:
    """Return (progress, median norm before clipping) over stretches of steps; None: of all tables together."""
    norms = history.total_norm if table is None else history.grad_norm(table)
    stretches = np.array_split(np.arange(len(norms)), min(points, len(norms)))
    return [(float((part[-1] + 1) / len(norms)), float(np.median(norms[part]))) for part in stretches]


def summary_rows(comparison: Comparison) -> list[list[str]]:
    """Return what fits a terminal: settings that differ, errors, and how far apart the gradients are."""
    rows = [[_short(name), *map(_short, values)] for name, *values in comparison.settings()]
    rows += [
        [name, *("-" if value is None else f"{value:.4g}" for value in values)]
        for name, values in comparison.metrics()
        if name in HEADLINES
    ]
    return rows + distance_rows(comparison)


def distance_rows(comparison: Comparison) -> list[list[str]]:
    """Return each table's mean distance over progress from the base run's gradients, one column a run."""
    if len(comparison.watched) < 2:
        return []
    rows = []
    for table in TABLES:
        found = {
            run.run_id: f"{pair.mean_distance:.1%}"
            for run, pair in zip(comparison.watched[1:], comparison.differences(table), strict=True)
        }
        found[comparison.watched[0].run_id] = "base"
        rows.append([f"gradients apart, {table}", *(found.get(run.run_id, "-") for run in comparison.runs)])
    return rows


def as_json(comparison: Comparison) -> str:
    """Return the numbers of a comparison, for programs."""
    found: dict[str, Any] = {
        "runs": [{"name": run.name, "run_id": run.run_id, "split_digest": run.split_digest} for run in comparison.runs],
        "same_data": comparison.same_data,
        "settings": {name: values for name, *values in comparison.settings()},
        "metrics": dict(comparison.metrics()),
        "gradient_distance": {row[0]: row[1:] for row in distance_rows(comparison)},
    }
    return json.dumps(found, indent=2)


def _history(run: ComparedRun) -> GradientHistory:
    assert run.history is not None
    return run.history


def _repeated(runs: Sequence[ComparedRun]) -> str:
    ids = [run.run_id for run in runs]
    return next(run_id for run_id in ids if ids.count(run_id) > 1)


def _short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else f"…{text[1 - most :]}"
