"""MLflow: where a run, its metrics and its model are recorded.

    run = start_run(settings.tracking, tags={...})
    with ended_on_error(run):
        log_settings(run, settings, source=source)
        log_split(run, split)
        with recorder(run) as on_record:
            result = train(split, settings.train, device=device, on_record=on_record)
        result.recommender.save(folder)
        log_model(run, folder)
        log_evaluation(run, evaluate(result.recommender, split, settings.evaluation))
        end_run(run)

The store is a value: each function takes the run (or the address) it works on, and none touches
MLflow's global state. MLflow itself, imported in `store` alone, is loaded by the first call and
not by importing this package.
"""

from cfmodel.tracking.comparisons import compare_runs, log_comparison
from cfmodel.tracking.evaluations import log_evaluation
from cfmodel.tracking.finding import data_folders, find_run, train_settings_of
from cfmodel.tracking.gradients import archive_folder, log_gradients, read_gradients, reported_on_error
from cfmodel.tracking.loading import LoadedModel, load_model
from cfmodel.tracking.models import check_model, log_model
from cfmodel.tracking.promotions import Rollback, promote, put_forward, rollback
from cfmodel.tracking.registry import CHALLENGER, CHAMPION, Version, find_version, version_of
from cfmodel.tracking.runs import (
    Run,
    RunSummary,
    TrackedRun,
    end_run,
    ended_on_error,
    experiment_url,
    log_metrics,
    log_settings,
    log_split,
    read_run,
    recorder,
    run_url,
    set_tags,
    start_run,
    training_view,
)
from cfmodel.tracking.store import resolve_uri

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "LoadedModel",
    "Rollback",
    "Run",
    "RunSummary",
    "TrackedRun",
    "Version",
    "archive_folder",
    "check_model",
    "compare_runs",
    "data_folders",
    "end_run",
    "ended_on_error",
    "experiment_url",
    "find_run",
    "find_version",
    "load_model",
    "log_comparison",
    "log_evaluation",
    "log_gradients",
    "log_metrics",
    "log_model",
    "log_settings",
    "log_split",
    "promote",
    "put_forward",
    "read_gradients",
    "read_run",
    "recorder",
    "reported_on_error",
    "resolve_uri",
    "rollback",
    "run_url",
    "set_tags",
    "start_run",
    "train_settings_of",
    "training_view",
    "version_of",
]
