"""Log what the gradients of a training did: health verdicts, the report, the archive, and images by epoch."""

import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cfmodel.errors import CFModelError
from cfmodel.system.decimals import rmse_text
from cfmodel.tracking.logging.image_files import IMAGES_TAG, image_files
from cfmodel.tracking.outbox.log_entries import log_files
from cfmodel.tracking.run import RunSummary, TrackedRun
from cfmodel.tracking.runs.find_runs import train_settings_of
from cfmodel.tracking.runs.lifecycle import set_tags, summary_of
from cfmodel.tracking.store import client, reaching

if TYPE_CHECKING:
    from cfmodel.gradients.health.judge import IdOf
    from cfmodel.gradients.health.verdicts import HealthReport
    from cfmodel.gradients.recording.gradient_records import GradientRecord
    from cfmodel.refs import SplitRef

#: Folder of the artifacts.
_FOLDER = "gradients"
_log = logging.getLogger(__name__)


def archive_folder(data_dir: Path, run: TrackedRun) -> Path:
    """Return the folder of a run's gradient archive below the folder for data."""
    return data_dir / _FOLDER / run.run_id


def log_gradients(run: TrackedRun, archive: Path, split: "SplitRef", *, model: Path | None = None) -> "HealthReport":
    """Judge the health of a training by its gradients, and log the verdict, the report and the archive.

    These are the tags of the verdict (`health.verdict`), below `gradients/` the files `report.html`,
    `health.json` and the archive, and one image of every table's histogram by epoch.

    Args:
        archive: Folder that `archived` wrote.
        split: The split it was trained on.
        model: Folder of the saved recommender, for a lesson with its numbers; None: no lesson.

    Raises:
        DigestError: The archive or the split is damaged.
    """
    from cfmodel.gradients.health.judge import judge_health
    from cfmodel.gradients.recording.archive import read_archive
    from cfmodel.gradients.recording.gradient_history import GradientHistory
    from cfmodel.gradients.report.epoch_images import epoch_images
    from cfmodel.gradients.report.run_report import gradient_report

    records = read_archive(archive)
    history = GradientHistory.of(records)
    health = judge_health(history, ids=_ids(split))
    summary, lesson = summary_of(run), _lesson(run, split, model)
    title = f"Gradients of {summary.run.name}"
    page = gradient_report(records, health, title=title, facts=_facts(summary), lesson=lesson)
    set_tags(run, health.as_tags() | IMAGES_TAG)
    images = ((f"{_FOLDER}/{table}", epoch, image) for table, epoch, image in epoch_images(history.samples))
    files: dict[str, Path | str | bytes] = {
        f"{_FOLDER}/report.html": page,
        f"{_FOLDER}/health.json": json.dumps(health.as_json(), indent=2),
        **{f"{_FOLDER}/{file.relative_to(archive).as_posix()}": file for file in archive.rglob("*") if file.is_file()},
        **image_files(images),
    }
    log_files(run, files)
    return health


@contextmanager
def reported_on_error(run: TrackedRun, archive: Path, split: "SplitRef") -> Iterator[None]:
    """Log the gradients so far if the block ends in a CFModelError, which is raised again.

    An error of logging them is only logged.
    """
    try:
        yield
    except CFModelError:
        try:
            if archive.is_dir():
                log_gradients(run, archive, split)
        except CFModelError as refusal:
            _log.warning("run %s has no report of its gradients: %s", run.run_id, refusal)
        raise


def read_gradients(run: TrackedRun) -> "list[GradientRecord]":
    """Read a run's gradient archive from its store; empty if the run had no monitor.

    Raises:
        DigestError: The archive is damaged.
    """
    from cfmodel.gradients.recording.archive import FILES, read_archive

    store = client(run.tracking_uri)
    with reaching(run.tracking_uri, "reading the gradients"), tempfile.TemporaryDirectory() as temporary:
        there = {Path(entry.path).name for entry in store.list_artifacts(run.run_id, _FOLDER)}
        if not there.issuperset(FILES):
            return []
        fetched = [store.download_artifacts(run.run_id, f"{_FOLDER}/{name}", temporary) for name in FILES]
        return read_archive(Path(fetched[0]).parent)


def _ids(split: "SplitRef") -> "IdOf":
    """Return a function from a table and a row of it to the id in the source."""
    from cfmodel.data.splitting.parts import load_vocabularies

    users, movies = load_vocabularies(split)
    return lambda side, row: (users if side == "user" else movies).decode([row])[0]


def _facts(run: RunSummary) -> dict[str, str]:
    """Return the facts about a run for the report's head, as far as they are known by now."""
    named = {"source": "source", "learning rate": "train.learning_rate", "embedding_dim": "train.embedding_dim"}
    found = {"run": run.run.run_id} | {name: run.params[key] for name, key in named.items() if key in run.params}
    measured = {
        "best val RMSE": "best_val_rmse",
        "test RMSE": "test/rmse",
        "RMSE of damped biases": "test/damped_bias_rmse",
    }
    return found | {name: rmse_text(run.metrics[key]) for name, key in measured.items() if key in run.metrics}


def _lesson(run: TrackedRun, split: "SplitRef", model: Path | None) -> str:
    """Return the lesson with the model's numbers, or why there is none; empty without a model."""
    from cfmodel.gradients.lesson.html import lesson_html, missing_lesson_html
    from cfmodel.recommending.recommender import Recommender
    from cfmodel.training.explain import explain
    from cfmodel.training.resuming.adam_state import SavedAdamState, adam_state_path

    if model is None:
        return ""
    settings = train_settings_of(summary_of(run)).train
    try:
        adam = SavedAdamState.load(adam_state_path(model))
        return lesson_html(explain(Recommender.load(model), split, settings, adam=adam))
    except CFModelError as refusal:  # the report is useful without it
        _log.warning("run %s has no lesson in its report: %s", run.run_id, refusal)
        return missing_lesson_html(str(refusal))
