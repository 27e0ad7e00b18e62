"""What an evaluation found, in the store: metrics, the metric card and plots."""

from typing import TYPE_CHECKING

from cfmodel.tracking.runs import TrackedRun, log_metrics
from cfmodel.tracking.store import client, reaching
from cfmodel.training.records import TABLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cfmodel.evaluation.evaluate import Evaluation
    from cfmodel.plots import Curve

_CURVES = ("train/rmse", "val/rmse", "refit/train/rmse", *(f"grad_norm/{table}" for table in TABLES))


def log_evaluation(run: TrackedRun, evaluation: "Evaluation") -> None:
    """Record an evaluation: its metrics, `metric_card.md` and three plots in `plots/`.

    The learning curves are drawn from the metrics the store holds for the run.

    Raises:
        TrackingError: The store does not take them.
    """
    log_metrics(run, evaluation.metrics)
    store = client(run.tracking_uri)
    with reaching(run.tracking_uri, "recording the evaluation"):
        store.log_text(run.run_id, evaluation.metric_card, "metric_card.md")
        for name, figure in _figures(run, evaluation).items():
            store.log_figure(run.run_id, figure, f"plots/{name}.png")


def _figures(run: TrackedRun, evaluation: "Evaluation") -> dict[str, "Figure"]:
    from cfmodel import plots

    curves = {key: curve_of(run, key) for key in _CURVES}
    return {
        "learning_curves": plots.learning_curves(curves),
        "predicted_against_true": plots.predicted_against_true(evaluation.predicted_against_true),
        "error_by_popularity": plots.error_by_popularity(evaluation.error_by_popularity),
    }


def curve_of(run: TrackedRun, key: str) -> "Curve":
    """Return a metric of a run as (step, value) pairs, rising; empty where it was not recorded."""
    found = client(run.tracking_uri).get_metric_history(run.run_id, key)
    return sorted((metric.step, metric.value) for metric in found)
