"""MLflow tracking: record a run, its metrics and its model.

    run = start_run(settings.tracking, journals=journals_folder(data_dir), tags={...})
    with ended_on_error(run):
        log_settings(run, settings, source=source)
        log_split(run, split)
        log_dataset(run, split.data)
        with recorder(run) as on_record:
            result = train(split, settings.train, device=device, on_record=on_record)
        result.recommender.save(folder)
        log_model(run, folder)
        log_evaluation(run, evaluate(result.recommender, split, settings.evaluation))
        end_run(run)
    require_recorded(run, wait_seconds=60)

Whatever is logged about a run is written to a journal on this disk first, and then sent in order,
with retries (`outbox`). So a store that is away costs no record and does not hold up training. For a
run without a journal a store that is away is an error.

The store is a value: each function takes the run (or the address) it works on, and none touches
MLflow's global state. MLflow itself is imported only by `store`, at the first call.
"""

from cfmodel.tracking.logging.comparisons import compare_runs
from cfmodel.tracking.logging.datasets import log_dataset
from cfmodel.tracking.logging.evaluations import log_evaluation
from cfmodel.tracking.logging.gradients import archive_folder, log_gradients, read_gradients, reported_on_error
from cfmodel.tracking.logging.model import log_model
from cfmodel.tracking.models.load import LoadedModel, load_model
from cfmodel.tracking.models.promotions import (
    promote,
    register_challenger,
    register_challenger_later,
    rollback,
)
from cfmodel.tracking.models.registry import CHALLENGER, CHAMPION, Version, find_version, version_of
from cfmodel.tracking.outbox.journal import Journal, journals_folder
from cfmodel.tracking.outbox.log_entries import log_files
from cfmodel.tracking.outbox.training_metrics import recorder
from cfmodel.tracking.recorded_model import check_model
from cfmodel.tracking.run import Run, RunSummary, TrackedRun
from cfmodel.tracking.runs.find_runs import data_folders, find_run, train_settings_of
from cfmodel.tracking.runs.lifecycle import (
    end_run,
    ended_on_error,
    log_metrics,
    log_settings,
    log_split,
    open_run,
    read_run,
    reopen_run,
    set_tags,
    start_run,
    summary_of,
)
from cfmodel.tracking.runs.links import experiment_url, run_url, training_view
from cfmodel.tracking.runs.list_runs import (
    DESCRIPTION,
    INPUTS_DIGEST,
    PREVIOUS_CHAMPION,
    ListedRun,
    aliased_versions,
    champion_besides,
    last_completed,
    newest_runs,
    require_store,
)
from cfmodel.tracking.runs.pruning import needs_of, remove_run, remove_version, runs_in, versions_in
from cfmodel.tracking.runs.resuming import OpenRun, inputs_of, opened_run
from cfmodel.tracking.runs.sync import Synced, require_recorded, sync, sync_earlier
from cfmodel.tracking.store import resolve_uri

__all__ = [
    "CHALLENGER",
    "CHAMPION",
    "DESCRIPTION",
    "INPUTS_DIGEST",
    "PREVIOUS_CHAMPION",
    "Journal",
    "ListedRun",
    "LoadedModel",
    "OpenRun",
    "Run",
    "RunSummary",
    "Synced",
    "TrackedRun",
    "Version",
    "aliased_versions",
    "archive_folder",
    "champion_besides",
    "check_model",
    "compare_runs",
    "data_folders",
    "end_run",
    "ended_on_error",
    "experiment_url",
    "find_run",
    "find_version",
    "inputs_of",
    "journals_folder",
    "last_completed",
    "load_model",
    "log_dataset",
    "log_evaluation",
    "log_files",
    "log_gradients",
    "log_metrics",
    "log_model",
    "log_settings",
    "log_split",
    "needs_of",
    "newest_runs",
    "open_run",
    "opened_run",
    "promote",
    "read_gradients",
    "read_run",
    "recorder",
    "register_challenger",
    "register_challenger_later",
    "remove_run",
    "remove_version",
    "reopen_run",
    "reported_on_error",
    "require_recorded",
    "require_store",
    "resolve_uri",
    "rollback",
    "run_url",
    "runs_in",
    "set_tags",
    "start_run",
    "summary_of",
    "sync",
    "sync_earlier",
    "train_settings_of",
    "training_view",
    "version_of",
    "versions_in",
]
