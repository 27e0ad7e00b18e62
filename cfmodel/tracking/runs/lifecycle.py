"""Runs: begun, described, measured, ended and read back."""

import getpass
import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.errors import StoreAwayError, TrackingError
from cfmodel.provenance import cfmodel_version, commit
from cfmodel.refs import SplitRef
from cfmodel.system.addresses import shown
from cfmodel.tracking.outbox.deliver import note_away
from cfmodel.tracking.outbox.delivery_progress import Sent
from cfmodel.tracking.outbox.entries import Became, Data, Param, Start, Tag
from cfmodel.tracking.outbox.journal import Journal
from cfmodel.tracking.outbox.mlflow_sender import create_run
from cfmodel.tracking.outbox.training_metrics import Point
from cfmodel.tracking.outbox.write import tell
from cfmodel.tracking.run import Run, RunSummary, TrackedRun
from cfmodel.tracking.store import client, reaching, resolve_uri

_DIGEST_CHARACTERS = 36  # what MLflow keeps of a data set's digest
_COLUMNS = (("user_id", "string"), ("movie_id", "string"), ("rating", "double"), ("timestamp", "long"))
#: Sections that say nothing of a run, but what is done with models and with what runs leave behind.
_OF_OTHER_COMMANDS = ("scoring.", "keep.")

_log = logging.getLogger(__name__)


def start_run(
    settings: TrackingSettings,
    *,
    spool: Path | None = None,
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Run:
    """Start a run, creating the store and the experiment where they are missing.

    Beside `tags` the run carries `cfmodel_version` and, where cfmodel runs from a checkout,
    `commit`.

    With a `spool` everything told about the run goes through a journal there, and a store that is
    away holds nothing up: the run then goes by an id of its own, and is created in the store, with
    all that was told about it, when the store is back.

    Args:
        settings: Which store and which experiment.
        spool: Folder of the journals of all runs; None: nothing is kept on this disk.
        name: Name of the run; None: `settings.run_name`, and MLflow makes one up if that is None too.
        tags: Tags of the run.

    Raises:
        StoreAwayError: The store is away, and there is no spool.
        TrackingError: It refuses, or is a kind MLflow keeps no runs in.
    """
    uri = resolve_uri(settings)
    start = Start(settings.experiment, name or settings.run_name, {**_own_tags(), **(tags or {})}, _now())
    if spool is None:
        return create_run(uri, start)
    try:
        run = create_run(uri, start)
    except StoreAwayError as away:
        return _begin_alone(uri, start, spool, away)
    folder = spool / run.run_id
    journal = Journal(folder)
    journal.append([start])
    position = journal.since(0)[-1][1]
    Sent(shown(uri), position, run.run_id, run.experiment_id, run.name).write(folder)
    return Run(run.run_id, uri, run.experiment_id, run.name, folder)


def _begin_alone(uri: str, start: Start, spool: Path, away: StoreAwayError) -> Run:
    """Begin the journal of a run that the store knows nothing of yet."""
    local_id = f"local-{uuid4().hex}"
    folder = spool / local_id
    Journal(folder).append([start])
    Sent(shown(uri)).write(folder)
    note_away(folder, away)
    return Run(local_id, uri, "", start.name or local_id, folder)


def open_run(settings: TrackingSettings, folder: Path) -> Run:
    """Return the run of a journal, as another process begun it.

    Args:
        settings: Which store.
        folder: The run's folder below the spool.

    Raises:
        DigestError: There is no such journal, or it is damaged.
        TrackingError: It is meant for another store.
    """
    uri, sent = resolve_uri(settings), Sent.read(folder)
    if sent.store != shown(uri):
        raise TrackingError(
            f"{folder}: is a run of {sent.store}, not of {shown(uri)}; set tracking.uri (or MLFLOW_TRACKING_URI) to "
            "the former"
        )
    return Run(folder.name, uri, sent.experiment_id, sent.name or folder.name, folder)


def log_settings(run: TrackedRun, settings: PipelineSettings, *, source: str) -> None:
    """Record every resolved setting of a run under its dotted name, and `source`, as parameters.

    Settings of what other commands do with its model and with what it leaves behind are none of its own.

    A setting that is null reads `null`; a password in an address is left out.

    Raises:
        TrackingError: The run has other values already.
    """
    own = {name: value for name, value in settings.flat().items() if not name.startswith(_OF_OTHER_COMMANDS)}
    values = {"source": source, **own}
    tell(run, [Param(name, shown(_text(value))) for name, value in values.items()])


def log_split(run: TrackedRun, split: SplitRef) -> None:
    """Record the parts of a split as the run's data sets, its digests as tags, and a description.

    MLflow keeps 36 characters of a digest; the tags `data_digest` and `split_digest` hold all 64.
    """
    rows = {"train": split.train_rows, "val": split.val_rows, "test": split.test_rows}
    tags = {"data_digest": split.data_digest, "split_digest": split.digest, "mlflow.note.content": _description(split)}
    data = [_data(split, part, rows=count) for part, count in rows.items()]
    tell(run, [*data, *(Tag(key, value) for key, value in tags.items())])


def set_tags(run: TrackedRun, tags: Mapping[str, str]) -> None:
    """Set tags of a run; a tag set before gets the new value."""
    tell(run, [Tag(key, value) for key, value in tags.items()])


def log_metrics(run: TrackedRun, metrics: Mapping[str, float], *, step: int = 0) -> None:
    """Record metrics that have one value a run; one that was recorded before keeps its value."""
    now = _now()
    tell(run, [Point(key, float(value), step, now) for key, value in metrics.items()])


def end_run(run: TrackedRun, status: Literal["FINISHED", "FAILED", "KILLED"] = "FINISHED") -> None:
    """End a run as FINISHED, FAILED or KILLED (cancelled)."""
    tell(run, [Became(status, _now())])


def reopen_run(run: TrackedRun) -> None:
    """Make a run that was ended a running one again."""
    tell(run, [Became("RUNNING", _now())])


@contextmanager
def ended_on_error(run: TrackedRun) -> Iterator[None]:
    """Leave a run open if the block succeeds; end it as FAILED on an error, as KILLED on a cancel.

    A cancel is what is no `Exception`: Ctrl-C, a request to exit, an orchestrator's signal. The
    error goes on to the caller; a store that will not have it is only logged.
    """
    try:
        yield
    except BaseException as error:
        try:
            end_run(run, "FAILED" if isinstance(error, Exception) else "KILLED")
        except (TrackingError, OSError) as refusal:
            _log.warning("run %s stays open: %s", run.run_id, refusal)
        raise


def read_run(uri: str, run_id: str) -> RunSummary:
    """Read back what the store knows about a run.

    Raises:
        TrackingError: The store is away or has no such run.
    """
    with reaching(uri, f"reading run {run_id}"):
        found = client(uri).get_run(run_id)
    run = Run(run_id, uri, found.info.experiment_id, found.info.run_name)
    data = found.data
    return RunSummary(run, found.info.status, dict(data.metrics), dict(data.params), dict(data.tags))


def told_of(run: TrackedRun) -> RunSummary:
    """Return what was told about a run so far: by its journal, or by the store where it has none.

    Raises:
        TrackingError: It has none, and the store is away or has no such run.
    """
    if run.spool is None:
        return read_run(run.tracking_uri, run.run_id)
    journal, sent = Journal(run.spool), Sent.read(run.spool)
    named = Run(run.run_id, run.tracking_uri, sent.experiment_id, sent.name or run.run_id, run.spool)
    return RunSummary(named, journal.status or "RUNNING", journal.metrics, journal.params, journal.tags)


def _own_tags() -> dict[str, str]:
    tags = {"cfmodel_version": cfmodel_version(), "mlflow.source.name": "cfmodel", "mlflow.source.type": "LOCAL"}
    with suppress(OSError, KeyError):  # an account without a name, as in some containers
        tags["mlflow.user"] = getpass.getuser()
    if (code := commit()) is not None:
        tags |= {"commit": code, "mlflow.source.git.commit": code.removesuffix("-dirty")}
    return tags


def _data(split: SplitRef, part: str, *, rows: int) -> Data:
    """Describe one part of a split the way MLflow describes a data set."""
    columns = [{"name": name, "type": kind, "required": name != "timestamp"} for name, kind in _COLUMNS]
    digests = {"data_digest": split.data_digest, "split_digest": split.digest}
    fields = {
        "name": f"{shown(split.source)} ({split.strategy}, {part})"[-500:],
        "digest": split.digest[:_DIGEST_CHARACTERS],
        "source_type": "local",
        "source": json.dumps({"uri": (split.path / f"{part}.parquet").resolve().as_uri()}),
        "schema": json.dumps({"mlflow_colspec": columns}),
        "profile": json.dumps({"num_rows": rows, **digests}),
    }
    return Data(part, fields)


def _description(split: SplitRef) -> str:
    return (
        f"Biased matrix factorisation of **{shown(split.source)}**: {split.train_rows:,} train, {split.val_rows:,} val "
        f"and {split.test_rows:,} test ratings ({split.strategy} split); {split.users:,} users and {split.movies:,} "
        "movies in train."
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _now() -> int:
    return time.time_ns() // 1_000_000
