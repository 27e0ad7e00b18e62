"""Start a run, log its settings and metrics, end it, and read it back."""

import getpass
import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.errors import StoreAwayError, TrackingError
from cfmodel.provenance import cfmodel_version, commit
from cfmodel.refs import SplitRef
from cfmodel.system.addresses import redact
from cfmodel.tracking.outbox.deliver import DeliveryProgress, note_away
from cfmodel.tracking.outbox.entries import Became, Data, Param, Point, Start, Tag
from cfmodel.tracking.outbox.journal import Journal
from cfmodel.tracking.outbox.log_entries import log_entries
from cfmodel.tracking.outbox.mlflow_sender import create_run
from cfmodel.tracking.run import Run, RunSummary, TrackedRun
from cfmodel.tracking.store import client, experiment_of, reaching, resolve_uri

_DIGEST_CHARACTERS = 36  # what MLflow keeps of a data set's digest
_COLUMNS = (("user_id", "string"), ("movie_id", "string"), ("rating", "double"), ("timestamp", "datetime"))
#: Settings of other commands, which do not belong to a run.
_OF_OTHER_COMMANDS = ("scoring.", "keep.")

EndStatus = Literal["FINISHED", "FAILED", "KILLED"]

_log = logging.getLogger(__name__)


def start_run(
    settings: TrackingSettings,
    *,
    journals: Path | None = None,
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Run:
    """Start a run; create the store and the experiment if they are missing.

    Beside `tags` the run gets the tags `cfmodel_version` and, if cfmodel runs from a checkout, `commit`.

    With `journals` everything that is logged about the run goes through a journal there, and a store
    that is away holds nothing up: the run then has a local id, and is created in the store, with all
    that was logged about it, when the store is back.

    Args:
        settings: Which store and which experiment.
        journals: Folder of the journals of all runs; None: no journal.
        name: Name of the run; None: `settings.run_name`, and MLflow chooses one if that is None too.

    Raises:
        StoreAwayError: The store is away, and there is no journal.
    """
    uri = resolve_uri(settings)
    start = Start(experiment_of(settings), name or settings.run_name, {**_own_tags(), **(tags or {})}, _now())
    if journals is None:
        return create_run(uri, start)
    try:
        run = create_run(uri, start)
    except StoreAwayError as away:
        return _start_locally(uri, start, journals, away)
    journal = Journal(journals / run.run_id)
    journal.append([start])
    position = journal.since(0)[-1][1]
    DeliveryProgress(redact(uri), position, run.run_id, run.experiment_id, run.name).write(journal.folder)
    return replace(run, journal_folder=journal.folder)


def _start_locally(uri: str, start: Start, journals: Path, away: StoreAwayError) -> Run:
    """Begin the journal of a run that the store does not know yet."""
    local_id = f"local-{uuid4().hex}"
    folder = journals / local_id
    Journal(folder).append([start])
    DeliveryProgress(redact(uri)).write(folder)
    note_away(folder, away)
    return Run(local_id, uri, "", start.name or local_id, folder)


def open_run(settings: TrackingSettings, folder: Path) -> Run:
    """Return the run of the journal in a folder, which another process began.

    Raises:
        DigestError: There is no such journal, or it is damaged.
        TrackingError: It belongs to another store.
    """
    uri, progress = resolve_uri(settings), DeliveryProgress.read(folder)
    if progress.store != redact(uri):
        raise TrackingError(
            f"{folder}: is a run of {progress.store}, not of {redact(uri)}; set tracking.uri (or MLFLOW_TRACKING_URI) "
            "to the former"
        )
    return Run(folder.name, uri, progress.experiment_id, progress.name or folder.name, folder)


def log_settings(run: TrackedRun, settings: PipelineSettings, *, source: str) -> None:
    """Log every setting of a run under its dotted name, and `source`, as parameters.

    Settings of other commands (`scoring`, `keep`) are left out. A null setting reads `null`; a password
    in an address is masked.

    Raises:
        TrackingError: The run has other values already.
    """
    values = {"source": source, **settings.flat()}
    own = {name: value for name, value in values.items() if not name.startswith(_OF_OTHER_COMMANDS)}
    log_entries(run, [Param(name, redact(_text(value))) for name, value in own.items()])


def log_split(run: TrackedRun, split: SplitRef) -> None:
    """Log the parts of a split as the run's data sets, its digests as tags, and a description.

    MLflow keeps 36 characters of a digest; the tags `data_digest` and `split_digest` hold all 64.
    """
    rows = {"train": split.train_rows, "val": split.val_rows, "test": split.test_rows}
    tags = {"data_digest": split.data_digest, "split_digest": split.digest, "mlflow.note.content": _description(split)}
    data = [_data(split, part, rows=count) for part, count in rows.items()]
    log_entries(run, [*data, *(Tag(key, value) for key, value in tags.items())])


def set_tags(run: TrackedRun, tags: Mapping[str, str]) -> None:
    """Set tags of a run; an existing tag gets the new value."""
    log_entries(run, [Tag(key, value) for key, value in tags.items()])


def log_metrics(run: TrackedRun, metrics: Mapping[str, float], *, step: int = 0) -> None:
    """Log metrics at one step; a metric that has a value at that step keeps it."""
    now = _now()
    log_entries(run, [Point(key, float(value), step, now) for key, value in metrics.items()])


def end_run(run: TrackedRun, status: EndStatus = "FINISHED") -> None:
    """End a run as FINISHED, FAILED or KILLED (cancelled)."""
    log_entries(run, [Became(status, _now())])


def reopen_run(run: TrackedRun) -> None:
    """Set the status of an ended run back to RUNNING."""
    log_entries(run, [Became("RUNNING", _now())])


@contextmanager
def ended_on_error(run: TrackedRun) -> Iterator[None]:
    """Leave a run open if the block succeeds; else end it as FAILED, or as KILLED if it was cancelled.

    The block's error is raised again; a refusal of the store is only logged.
    """
    try:
        yield
    except BaseException as error:
        try:
            end_run(run, status_after(error))
        except (TrackingError, OSError) as refusal:
            _log.warning("run %s stays open: %s", run.run_id, refusal)
        raise


def status_after(error: BaseException) -> EndStatus:
    """Return FAILED for an error, KILLED for a cancel: Ctrl-C, a request to exit, an orchestrator's signal."""
    return "FAILED" if isinstance(error, Exception) else "KILLED"


def read_run(uri: str, run_id: str) -> RunSummary:
    """Read a run from the store."""
    with reaching(uri, f"reading run {run_id}"):
        found = client(uri).get_run(run_id)
    run, data = Run(run_id, uri, found.info.experiment_id, found.info.run_name), found.data
    return RunSummary(run, found.info.status, dict(data.metrics), dict(data.params), dict(data.tags))


def summary_of(run: TrackedRun) -> RunSummary:
    """Return what was logged about a run so far, from its journal, or from the store if it has none."""
    if run.journal_folder is None:
        return read_run(run.tracking_uri, run.run_id)
    journal, progress = Journal(run.journal_folder), DeliveryProgress.read(run.journal_folder)
    named = Run(run.run_id, run.tracking_uri, progress.experiment_id, progress.name or run.run_id, run.journal_folder)
    return RunSummary(named, journal.status or "RUNNING", journal.metrics, journal.params, journal.tags)


def _own_tags() -> dict[str, str]:
    tags = {"cfmodel_version": cfmodel_version(), "mlflow.source.name": "cfmodel", "mlflow.source.type": "LOCAL"}
    with suppress(OSError, KeyError):  # in some containers the account has no name
        tags["mlflow.user"] = getpass.getuser()
    if (code := commit()) is not None:
        tags |= {"commit": code, "mlflow.source.git.commit": code.removesuffix("-dirty")}
    return tags


def _data(split: SplitRef, part: str, *, rows: int) -> Data:
    """Describe one part of a split with the fields of MLflow's `Dataset`."""
    columns = [{"name": name, "type": kind, "required": name != "timestamp"} for name, kind in _COLUMNS]
    digests = {"data_digest": split.data_digest, "split_digest": split.digest}
    fields = {
        "name": f"{redact(split.source)} ({split.strategy}, {part})"[-500:],
        "digest": split.digest[:_DIGEST_CHARACTERS],
        "source_type": "local",
        "source": json.dumps({"uri": (split.path / f"{part}.parquet").resolve().as_uri()}),
        "schema": json.dumps({"mlflow_colspec": columns}),
        "profile": json.dumps({"num_rows": rows, **digests}),
    }
    return Data(part, fields)


def _description(split: SplitRef) -> str:
    return (
        f"Biased matrix factorisation of **{redact(split.source)}**: {split.train_rows:,} train, "
        f"{split.val_rows:,} val and {split.test_rows:,} test ratings ({split.strategy} split); "
        f"{split.users:,} users and {split.movies:,} movies in train."
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _now() -> int:
    return time.time_ns() // 1_000_000
