"""The monitor's records as metrics, one point per epoch, from which charts of several runs are drawn."""

import numpy as np

from cfmodel.gradients.recording.buckets import magnitude_quantiles
from cfmodel.gradients.recording.gradient_records import (
    EpochGradients,
    InitialRecord,
    MonitorCost,
    StepBlock,
    StepSample,
)

#: Percentiles of the gradients' magnitudes that are logged.
_PERCENTILES = (5, 50, 95)
#: Fields of a table's sample that are averaged over an epoch.
_AVERAGED = ("ghost_share", "update_to_weight", "adam_step")


class EpochMetrics:
    """Collects an epoch's records until the epoch ends, then returns its metrics.

    Counts of an epoch's sampled steps are added and ratios are averaged; an epoch without a sampled
    step has no such metrics. The step of every metric is the epoch, 0 before training.
    """

    def __init__(self) -> None:
        self._samples: list[StepSample] = []
        self._metrics: dict[str, float] = {}

    def take(self, record: object) -> None:
        """Take one record; ignore those of other kinds."""
        if isinstance(record, StepSample):
            self._samples.append(record)
        elif isinstance(record, StepBlock):
            self._metrics |= {"gradients/largest_error": float(record.largest_error.max())}
        elif isinstance(record, EpochGradients):
            self._metrics |= _table_metrics(record)

    def give(self) -> dict[str, float]:
        """Return the epoch's finite metrics by key, and start the next epoch."""
        found = {**self._metrics, **sample_metrics(self._samples)}
        self._samples, self._metrics = [], {}
        return {key: value for key, value in found.items() if np.isfinite(value)}


def sample_metrics(samples: list[StepSample]) -> dict[str, float]:
    """Return the metrics of one epoch's sampled steps together, by key."""
    if not samples:
        return {}
    found: dict[str, float] = {}
    for table in samples[0].tables:
        seen = [sample.tables[table] for sample in samples]
        counts = np.sum([each.gradient_counts for each in seen], axis=0)
        quantiles = magnitude_quantiles(counts, [percentile / 100 for percentile in _PERCENTILES])
        found |= {f"gradients/{table}/p{p}": float(q) for p, q in zip(_PERCENTILES, quantiles, strict=True)}
        found |= {f"{name}/{table}": float(np.mean([getattr(each, name) for each in seen])) for name in _AVERAGED}
    signal = float(np.mean([sample.signal_square for sample in samples]))
    trace = float(np.mean([sample.noise_trace for sample in samples]))
    return found | ({"gradients/noise_scale": trace / signal} if signal > 0 else {})


def _table_metrics(record: EpochGradients) -> dict[str, float]:
    """Return the metrics of the tables at the end of an epoch, by key."""
    found = {"gradients/prediction_std": record.prediction_std, "gradients/dot_std": record.dot_std}
    for name, table in record.tables.items():
        found[f"row_norm/{name}"] = float(table.row_norm_quantiles[2])
        found[f"dead_rows/{name}"] = float(table.dead_rows)
        if table.effective_rank is not None and table.mean_leak is not None:
            found |= {f"effective_rank/{name}": table.effective_rank, f"mean_leak/{name}": table.mean_leak}
    return found


def initial_metrics(record: InitialRecord) -> dict[str, float]:
    """Return the spreads before training, by key."""
    return {"gradients/prediction_std": record.prediction_std, "gradients/rating_std": record.rating_std}


def cost_metrics(record: MonitorCost) -> dict[str, float]:
    """Return the cost of monitoring, by key."""
    return {
        "monitor/overhead_fraction": record.overhead_fraction,
        "monitor/seconds": record.seconds,
        "monitor/sample_every": float(record.sample_every),
        "monitor/samples": float(record.samples),
    }
