"""Compare runs of the store, and log the comparison as a run of its own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cfmodel.config import TrackingSettings
from cfmodel.tracking.logging.evaluations import curve_of
from cfmodel.tracking.logging.gradients import read_gradients
from cfmodel.tracking.outbox.log_entries import log_files
from cfmodel.tracking.run import Run, RunSummary
from cfmodel.tracking.runs.find_runs import find_run
from cfmodel.tracking.runs.lifecycle import end_run, ended_on_error, start_run

if TYPE_CHECKING:
    from cfmodel.gradients.report.comparison import ComparedRun, RunComparison

_PAGE, _NUMBERS = "comparison.html", "comparison.json"


def compare_runs(settings: TrackingSettings, runs: Sequence[str]) -> "tuple[RunComparison, Run]":
    """Compare runs with the first of them, and log the comparison as a run with the tag `kind=comparison`.

    Args:
        settings: Which store and which experiment.
        runs: Two or more ids, starts of ids, or names.

    Returns:
        The comparison, and its run with the artifacts `comparison.html` and `comparison.json`.

    Raises:
        ConfigError: Fewer than two runs, too many, or one named twice.
        DigestError: A run's archive of gradients is damaged.
        TrackingError: There is no such run, or the store is away.
    """
    from cfmodel.gradients.report.comparison import RunComparison, require_several

    require_several(runs)
    found = [find_run(settings, name) for name in runs]
    comparison = RunComparison(tuple(map(_compared, found)))
    return comparison, _log_comparison(settings, comparison)


def _log_comparison(settings: TrackingSettings, comparison: "RunComparison") -> Run:
    from cfmodel.gradients.report.comparison import comparison_json
    from cfmodel.gradients.report.comparison_page import comparison_page

    names = " against ".join(run.name for run in comparison.runs[::-1])[:250]
    ids = ",".join(run.run_id for run in comparison.runs)
    run = start_run(settings, name=names, tags={"kind": "comparison", "compared_runs": ids})
    with ended_on_error(run):
        log_files(run, {_PAGE: comparison_page(comparison), _NUMBERS: comparison_json(comparison)})
        end_run(run)
    return run


def _compared(found: RunSummary) -> "ComparedRun":
    from cfmodel.gradients.recording.gradient_history import GradientHistory
    from cfmodel.gradients.report.comparison import ComparedRun

    run = found.run
    curves = {key: curve_of(run, key) for key in ("train/rmse", "val/rmse")}
    records = read_gradients(run)
    history = GradientHistory.of(records) if records else None
    digest = found.tags.get("split_digest")
    return ComparedRun(run.name, run.run_id, found.params, found.metrics, curves, history, digest)
