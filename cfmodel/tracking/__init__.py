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
MLflow's global state. MLflow itself is imported only by `store`, at the first call. Whatever reaches the
store raises `TrackingError` where it refuses or is away; `StoreAwayError`, a kind of it, where a retry may
succeed. The docstrings name only what else a function refuses.
"""

from cfmodel.tracking.logging.comparisons import compare_runs as compare_runs
from cfmodel.tracking.logging.datasets import log_dataset as log_dataset
from cfmodel.tracking.logging.evaluations import log_evaluation as log_evaluation
from cfmodel.tracking.logging.gradients import archive_folder as archive_folder
from cfmodel.tracking.logging.gradients import log_gradients as log_gradients
from cfmodel.tracking.logging.gradients import read_gradients as read_gradients
from cfmodel.tracking.logging.gradients import reported_on_error as reported_on_error
from cfmodel.tracking.logging.model import log_model as log_model
from cfmodel.tracking.models.load import LoadedModel as LoadedModel
from cfmodel.tracking.models.load import load_model as load_model
from cfmodel.tracking.models.promotions import promote as promote
from cfmodel.tracking.models.promotions import register_challenger as register_challenger
from cfmodel.tracking.models.promotions import register_challenger_later as register_challenger_later
from cfmodel.tracking.models.promotions import rollback as rollback
from cfmodel.tracking.models.registry import CHALLENGER as CHALLENGER
from cfmodel.tracking.models.registry import CHAMPION as CHAMPION
from cfmodel.tracking.models.registry import Version as Version
from cfmodel.tracking.models.registry import find_version as find_version
from cfmodel.tracking.models.registry import version_of as version_of
from cfmodel.tracking.outbox.journal import Journal as Journal
from cfmodel.tracking.outbox.journal import journals_folder as journals_folder
from cfmodel.tracking.outbox.log_entries import log_files as log_files
from cfmodel.tracking.outbox.training_metrics import recorder as recorder
from cfmodel.tracking.recorded_model import check_model as check_model
from cfmodel.tracking.run import Run as Run
from cfmodel.tracking.run import RunSummary as RunSummary
from cfmodel.tracking.runs.find_runs import data_folders as data_folders
from cfmodel.tracking.runs.find_runs import find_run as find_run
from cfmodel.tracking.runs.find_runs import train_settings_of as train_settings_of
from cfmodel.tracking.runs.lifecycle import end_run as end_run
from cfmodel.tracking.runs.lifecycle import ended_on_error as ended_on_error
from cfmodel.tracking.runs.lifecycle import log_metrics as log_metrics
from cfmodel.tracking.runs.lifecycle import log_settings as log_settings
from cfmodel.tracking.runs.lifecycle import log_split as log_split
from cfmodel.tracking.runs.lifecycle import open_run as open_run
from cfmodel.tracking.runs.lifecycle import read_run as read_run
from cfmodel.tracking.runs.lifecycle import reopen_run as reopen_run
from cfmodel.tracking.runs.lifecycle import set_tags as set_tags
from cfmodel.tracking.runs.lifecycle import start_run as start_run
from cfmodel.tracking.runs.lifecycle import summary_of as summary_of
from cfmodel.tracking.runs.links import experiment_url as experiment_url
from cfmodel.tracking.runs.links import run_url as run_url
from cfmodel.tracking.runs.links import training_view as training_view
from cfmodel.tracking.runs.list_runs import DESCRIPTION as DESCRIPTION
from cfmodel.tracking.runs.list_runs import INPUTS_DIGEST as INPUTS_DIGEST
from cfmodel.tracking.runs.list_runs import PREVIOUS_CHAMPION as PREVIOUS_CHAMPION
from cfmodel.tracking.runs.list_runs import ListedRun as ListedRun
from cfmodel.tracking.runs.list_runs import aliased_versions as aliased_versions
from cfmodel.tracking.runs.list_runs import champion_besides as champion_besides
from cfmodel.tracking.runs.list_runs import last_completed as last_completed
from cfmodel.tracking.runs.list_runs import newest_runs as newest_runs
from cfmodel.tracking.runs.list_runs import other_experiments as other_experiments
from cfmodel.tracking.runs.list_runs import require_store as require_store
from cfmodel.tracking.runs.pruning import needs_of as needs_of
from cfmodel.tracking.runs.pruning import remove_run as remove_run
from cfmodel.tracking.runs.pruning import remove_version as remove_version
from cfmodel.tracking.runs.pruning import runs_in as runs_in
from cfmodel.tracking.runs.pruning import versions_in as versions_in
from cfmodel.tracking.runs.resuming import OpenRun as OpenRun
from cfmodel.tracking.runs.resuming import inputs_of as inputs_of
from cfmodel.tracking.runs.resuming import opened_run as opened_run
from cfmodel.tracking.runs.sync import Synced as Synced
from cfmodel.tracking.runs.sync import require_recorded as require_recorded
from cfmodel.tracking.runs.sync import sync as sync
from cfmodel.tracking.runs.sync import sync_earlier as sync_earlier
from cfmodel.tracking.store import experiment_of as experiment_of
from cfmodel.tracking.store import require_experiment as require_experiment
from cfmodel.tracking.store import require_room as require_room
from cfmodel.tracking.store import resolve_uri as resolve_uri
