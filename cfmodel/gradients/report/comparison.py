"""Comparison of runs: settings, metrics, curves, and their gradients bucket by bucket."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cfmodel.errors import ConfigError
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.report.histogram_difference import GradientDifference, gradient_difference

#: Most runs on one page.
MOST_RUNS = 12
#: Most points of progress at which two runs are compared, and most histograms on one page.
_MOST_POINTS, _MOST_HISTOGRAMS = 64, 400

#: Parts of the names of metrics of which the lowest or the highest value is best.
_LOWER, _HIGHER = ("rmse", "mae"), ("ndcg_at", "recall_at", "precision_at", "hit_rate_at", "lift")

#: Baselines: a better one does not make a better run.
_BASELINES = ("global_mean", "damped_bias", "popularity", "noise_floor")
#: Metrics that come first.
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
    """One run, as recorded in the store.

    Attributes:
        params: Every parameter, as text.
        metrics: Last value of each metric.
        curves: `train/rmse` and `val/rmse` as (epoch, value), rising.
        history: The monitor's records of the fit; None if there are none.
        split_digest: Digest of the ratings it was trained and tested on; None if that was not recorded.
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
        """The run's name and the start of its id, since names may repeat."""
        return f"{self.name} ({self.run_id[:6]})"


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Two or more runs, compared with the first of them, the base."""

    runs: tuple[ComparedRun, ...]

    def __post_init__(self) -> None:
        require_several(self.runs)
        if len({run.run_id for run in self.runs}) < len(self.runs):
            ids = [run.run_id for run in self.runs]
            repeated = next(run_id for run_id in ids if ids.count(run_id) > 1)
            raise ConfigError(f"run {repeated} is named twice: name different runs")

    @property
    def watched(self) -> tuple[ComparedRun, ...]:
        """The runs whose gradients were recorded; the first of them is the base."""
        return tuple(run for run in self.runs if run.history is not None and run.history.samples)

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that all watched runs have, in the base's order; none for fewer than two such runs."""
        if len(self.watched) < 2:
            return ()
        base, *others = (_history(run).tables for run in self.watched)
        return tuple(table for table in base if all(table in other for other in others))

    @property
    def same_data(self) -> bool:
        """Whether all runs were trained and tested on the same ratings."""
        return len({run.split_digest for run in self.runs}) == 1

    def data_note(self) -> str | None:
        """Return a warning that the errors of these runs cannot be compared; None if they can."""
        if self.same_data:
            return None
        digests = [(run.split_digest or "not recorded")[:12] for run in self.runs]
        listed = ", ".join(f"{role_of(number)} {digest}" for number, digest in enumerate(digests))
        return (
            f"These runs used different ratings (digests of the split: {listed}). Their errors are on different rows "
            "and do not show which model is better; `cfmodel promote` compares models on the rows they share."
        )

    def settings(self) -> list[list[str]]:
        """Return the settings that differ, one row per setting: its name, then its value in each run."""
        names = dict.fromkeys(name for run in self.runs for name in run.params)
        rows = [[name, *(run.params.get(name, "not set") for run in self.runs)] for name in names]
        return [row for row in rows if len(set(row[1:])) > 1]

    def metrics(
        self, prefixes: Sequence[str] = ("test/", "best_", "time/train", "monitor/")
    ) -> list[tuple[str, list[float | None]]]:
        """Return the metrics of whole runs: the name, then the value in each run, None if it has none."""
        names = sorted({name for run in self.runs for name in run.metrics if name.startswith(tuple(prefixes))})
        return [(name, [run.metrics.get(name) for run in self.runs]) for name in names]

    def differences(self, table: str) -> list[GradientDifference]:
        """Return the difference of a table's gradients between every other watched run and the base."""
        base, *others = self.watched
        points = min(_MOST_POINTS, max(2, _MOST_HISTOGRAMS // (len(self.watched) * len(self.tables))))
        return [gradient_difference(_history(base), _history(other), table, points=points) for other in others]


def require_several(runs: Sequence[object]) -> None:
    """Raise unless there are 2 to `MOST_RUNS` runs.

    Raises:
        ConfigError: There are fewer or more.
    """
    if not 2 <= len(runs) <= MOST_RUNS:
        given = "1 run" if len(runs) == 1 else f"{len(runs):,} runs"
        raise ConfigError(f"{given} cannot be compared: name 2 to {MOST_RUNS} of them, by id, start of id or name")


def role_of(number: int) -> str:
    """Return the name of a run's role in the comparison, by its position from 0."""
    return "base" if number == 0 else f"run {number + 1}"


def best_runs(name: str, values: Sequence[float | None]) -> list[int]:
    """Return the positions of the best values of a metric; none if all are equal or if it has no best."""
    known = [value for value in values if value is not None]
    of_baseline = any(baseline in name for baseline in _BASELINES) and "lift" not in name
    if of_baseline or len(known) < 2 or len(set(known)) == 1:
        return []
    if name.endswith(_LOWER):
        return [place for place, value in enumerate(values) if value == min(known)]
    if any(word in name for word in _HIGHER):
        return [place for place, value in enumerate(values) if value == max(known)]
    return []


def norm_curve(history: GradientHistory, table: str | None, *, points: int = 200) -> list[tuple[float, float]]:
    """Return (progress, median norm before clipping) for stretches of steps; table None is all tables together."""
    norms = history.total_norm if table is None else history.grad_norm(table)
    stretches = np.array_split(np.arange(len(norms)), min(points, len(norms)))
    return [(float((part[-1] + 1) / len(norms)), float(np.median(norms[part]))) for part in stretches]


def summary_rows(comparison: RunComparison) -> list[list[str]]:
    """Return a table for a terminal: settings that differ, errors, and distances of the gradients."""
    rows = [[_short(name), *map(_short, values)] for name, *values in comparison.settings()]
    rows += [
        [name, *("-" if value is None else f"{value:.4g}" for value in values)]
        for name, values in comparison.metrics()
        if name in HEADLINES
    ]
    return rows + distance_rows(comparison)


def distance_rows(comparison: RunComparison) -> list[list[str]]:
    """Return the distance of each table's gradients from the base's, mean over progress, with a column per run."""
    rows = []
    for table in comparison.tables:
        found = {
            run.run_id: f"{pair.mean_distance:.1%}"
            for run, pair in zip(comparison.watched[1:], comparison.differences(table), strict=True)
        }
        found[comparison.watched[0].run_id] = "base"
        rows.append([f"gradients apart, {table}", *(found.get(run.run_id, "-") for run in comparison.runs)])
    return rows


def comparison_json(comparison: RunComparison) -> str:
    """Return the numbers of a comparison as JSON."""
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


def _short(text: str, most: int = 40) -> str:
    return text if len(text) <= most else f"…{text[1 - most :]}"
