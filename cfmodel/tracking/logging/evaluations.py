"""Log an evaluation: metrics, the metric card and plots."""

from pathlib import Path
from typing import TYPE_CHECKING

from cfmodel.tables import TABLES
from cfmodel.tracking.outbox.journal import Journal
from cfmodel.tracking.outbox.log_entries import log_files
from cfmodel.tracking.run import TrackedRun
from cfmodel.tracking.runs.lifecycle import log_metrics, summary_of
from cfmodel.tracking.store import client, reaching

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cfmodel.evaluation.evaluate import Evaluation
    from cfmodel.plots.plots import Curve

_CURVES = ("train/rmse", "val/rmse", "refit/train/rmse")
_NORM = "grad_norm/"


def log_evaluation(run: TrackedRun, evaluation: "Evaluation") -> None:
    """Log an evaluation: its metrics, `metric_card.md` and three plots in `plots/`."""
    from cfmodel.plots.plots import png

    log_metrics(run, evaluation.metrics)
    files: dict[str, Path | str | bytes] = {"metric_card.md": evaluation.metric_card}
    files |= {f"plots/{name}.png": png(figure) for name, figure in _figures(run, evaluation).items()}
    log_files(run, files)


def _figures(run: TrackedRun, evaluation: "Evaluation") -> dict[str, "Figure"]:
    from cfmodel.plots import plots

    curves = {key: curve_of(run, key) for key in (*_CURVES, *_norms_of(run))}
    return {
        "learning_curves": plots.learning_curves(curves),
        "predicted_against_true": plots.draw_predicted_against_true(evaluation.predicted_against_true),
        "error_by_popularity": plots.draw_error_by_popularity(evaluation.error_by_popularity),
    }


def _norms_of(run: TrackedRun) -> list[str]:
    """Return the keys of the tables' gradient norms, in the order in which the tables are declared."""
    declared = {f"{_NORM}{table.name}": place for place, table in enumerate(TABLES)}
    found = (key for key in summary_of(run).metrics if key.startswith(_NORM) and key != f"{_NORM}total")
    return sorted(found, key=lambda key: declared.get(key, len(declared)))


def curve_of(run: TrackedRun, key: str) -> "Curve":
    """Return a metric of a run as (step, value) pairs by rising step; empty if it was not recorded.

    They come from the run's journal, or from its store if it has none.

    Raises:
        TrackingError: The run has no journal, and the store is away.
    """
    if run.journal_folder is not None:
        return [(point.step, point.value) for point in Journal(run.journal_folder).history(key)]
    with reaching(run.tracking_uri, f"reading {key}"):
        found = client(run.tracking_uri).get_metric_history(run.run_id, key)
    return sorted((metric.step, metric.value) for metric in found)
