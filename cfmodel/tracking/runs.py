"""Runs: started, described, measured, ended and read back."""

import getpass
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.errors import TrackingError
from cfmodel.provenance import cfmodel_version, commit
from cfmodel.recorder import Point, Recorder
from cfmodel.refs import SplitRef
from cfmodel.tracking.store import client, experiment_named, mlflow, reaching, resolve_uri, shown

Status = Literal["FINISHED", "FAILED", "KILLED"]

_DIGEST_CHARACTERS = 36  # what MLflow keeps of a data set's digest
_COLUMNS = (("user_id", "string"), ("movie_id", "string"), ("rating", "double"), ("timestamp", "long"))

_log = logging.getLogger(__name__)


class TrackedRun(Protocol):
    """Whatever says which run in which store: a `Run`, a `RunRef`."""

    @property
    def run_id(self) -> str:
        """The run's id in the store."""
        ...

    @property
    def tracking_uri(self) -> str:
        """Address of the store."""
        ...

    @property
    def experiment_id(self) -> str:
        """The experiment the run belongs to."""
        ...


@dataclass(frozen=True)
class Run:
    """A run in a tracking store.

    Attributes:
        run_id: The run's id in the store.
        tracking_uri: Address of the store.
        experiment_id: The experiment the run belongs to.
        name: The run's name.
    """

    run_id: str
    tracking_uri: str
    experiment_id: str
    name: str


@dataclass(frozen=True)
class RunSummary:
    """What a store knows about a run.

    Attributes:
        run: The run.
        status: RUNNING, FINISHED, FAILED, KILLED or SCHEDULED.
        metrics: Last value of each metric.
        params: Every parameter, as text.
        tags: Every tag, as text.
    """

    run: Run
    status: str
    metrics: dict[str, float]
    params: dict[str, str]
    tags: dict[str, str]


def start_run(settings: TrackingSettings, *, name: str | None = None, tags: Mapping[str, str] | None = None) -> Run:
    """Start a run, creating the store and the experiment where they are missing.

    Beside `tags` the run carries `cfmodel_version` and, where cfmodel runs from a checkout,
    `commit`.

    Args:
        settings: Which store and which experiment.
        name: Name of the run; None: `settings.run_name`, and MLflow makes one up if that is None too.
        tags: Tags of the run.

    Raises:
        TrackingError: The store is away, refuses, or is a kind MLflow keeps no runs in.
    """
    uri = resolve_uri(settings)
    with reaching(uri, "starting a run"):
        experiment_id = experiment_named(uri, settings.experiment)
        run = client(uri).create_run(
            experiment_id, run_name=name or settings.run_name, tags={**_own_tags(), **(tags or {})}
        )
    return Run(run.info.run_id, uri, experiment_id, run.info.run_name)


def log_settings(run: TrackedRun, settings: PipelineSettings, *, source: str) -> None:
    """Record every resolved setting under its dotted name, and `source`, as parameters.

    A setting that is null reads `null`; a password in an address is left out.

    Raises:
        TrackingError: The store does not take them, or holds other values for this run.
    """
    values = {"source": source, **settings.flat()}
    with reaching(run.tracking_uri, "recording the settings"):
        Param = mlflow().entities.Param
        params = [Param(name, shown(_text(value))) for name, value in values.items()]
        client(run.tracking_uri).log_batch(run.run_id, params=params)


def log_split(run: TrackedRun, split: SplitRef) -> None:
    """Record the parts of a split as the run's data sets, its digests as tags, and a description.

    MLflow keeps 36 characters of a digest; the tags `data_digest` and `split_digest` hold all 64.

    Raises:
        TrackingError: The store does not take them.
    """
    rows = {"train": split.train_rows, "val": split.val_rows, "test": split.test_rows}
    with reaching(run.tracking_uri, "recording the data sets"):
        inputs = [_input(split, part, rows=count) for part, count in rows.items()]
        client(run.tracking_uri).log_inputs(run.run_id, datasets=inputs)
    note = _description(split)
    set_tags(run, {"data_digest": split.data_digest, "split_digest": split.digest, "mlflow.note.content": note})


def set_tags(run: TrackedRun, tags: Mapping[str, str]) -> None:
    """Set tags of a run; a tag set before gets the new value.

    Raises:
        TrackingError: The store does not take them.
    """
    with reaching(run.tracking_uri, "setting tags"):
        RunTag = mlflow().entities.RunTag
        client(run.tracking_uri).log_batch(run.run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def recorder(run: TrackedRun, *, flush_seconds: float = 2.0) -> Recorder:
    """Return the `on_record` of a training that records its epochs in `run`."""

    def send(points: Sequence[Point]) -> None:
        _send(run, points)

    return Recorder(send, where=shown(run.tracking_uri), flush_seconds=flush_seconds)


def log_metrics(run: TrackedRun, metrics: Mapping[str, float], *, step: int = 0) -> None:
    """Record metrics that have one value a run.

    Raises:
        TrackingError: The store does not take them.
    """
    now = time.time_ns() // 1_000_000
    _send(run, [Point(key, float(value), step, now) for key, value in metrics.items()])


def end_run(run: TrackedRun, status: Status = "FINISHED") -> None:
    """End a run as FINISHED, FAILED or KILLED (cancelled).

    Raises:
        TrackingError: The store is away or refuses.
    """
    with reaching(run.tracking_uri, f"ending the run as {status}"):
        client(run.tracking_uri).set_terminated(run.run_id, status=status)


@contextmanager
def ended_on_error(run: TrackedRun) -> Iterator[None]:
    """Leave a run open if the block succeeds; end it as FAILED on an error, as KILLED on a cancel.

    A cancel is what is no `Exception`: Ctrl-C, a request to exit, an orchestrator's signal. The
    error goes on to the caller; a store that is away now is only logged.
    """
    try:
        yield
    except BaseException as error:
        try:
            end_run(run, "FAILED" if isinstance(error, Exception) else "KILLED")
        except TrackingError as refusal:
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


def training_view(settings: TrackingSettings, *, port: int = 5000) -> str:
    """Return the link to the training view of the experiment that runs go to, creating it where missing.

    Raises:
        TrackingError: The store is away or refuses.
    """
    uri = resolve_uri(settings)
    with reaching(uri, "opening the experiment"):
        return _training_view(uri, experiment_named(uri, settings.experiment), port)


def experiment_url(run: TrackedRun, *, port: int = 5000) -> str:
    """Return the link to the training view of a run's experiment in MLflow's UI.

    The bare address of an experiment opens on a view meant for language models.

    Args:
        run: One of the experiment's runs.
        port: Where MLflow's UI listens on this machine; not used if the store is itself a server.
    """
    return _training_view(run.tracking_uri, run.experiment_id, port)


def run_url(run: TrackedRun, *, port: int = 5000) -> str:
    """Return the link to the run's page in MLflow's UI; `port` as for `experiment_url`."""
    return f"{_server(run.tracking_uri, port)}/#/experiments/{run.experiment_id}/runs/{run.run_id}"


def _training_view(uri: str, experiment_id: str, port: int) -> str:
    return f"{_server(uri, port)}/#/experiments/{experiment_id}/runs?workflowType=machine_learning"


def _server(uri: str, port: int) -> str:
    return shown(uri).rstrip("/") if uri.startswith("http") else f"http://127.0.0.1:{port}"


def _own_tags() -> dict[str, str]:
    tags = {"cfmodel_version": cfmodel_version(), "mlflow.source.name": "cfmodel", "mlflow.source.type": "LOCAL"}
    with suppress(OSError, KeyError):  # an account without a name, as in some containers
        tags["mlflow.user"] = getpass.getuser()
    if (code := commit()) is not None:
        tags |= {"commit": code, "mlflow.source.git.commit": code.removesuffix("-dirty")}
    return tags


def _send(run: TrackedRun, points: Sequence[Point]) -> None:
    with reaching(run.tracking_uri, "recording metrics"):
        Metric = mlflow().entities.Metric
        metrics = [Metric(point.key, point.value, point.milliseconds, point.step) for point in points]
        client(run.tracking_uri).log_batch(run.run_id, metrics=metrics)


def _input(split: SplitRef, part: str, *, rows: int) -> Any:
    """Describe one part of a split the way MLflow describes a data set."""
    columns = [{"name": name, "type": kind, "required": name != "timestamp"} for name, kind in _COLUMNS]
    entities = mlflow().entities
    dataset = entities.Dataset(
        name=f"{split.source} ({split.strategy}, {part})"[-500:],
        digest=split.digest[:_DIGEST_CHARACTERS],
        source_type="local",
        source=json.dumps({"uri": (split.path / f"{part}.parquet").resolve().as_uri()}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps({"num_rows": rows, "data_digest": split.data_digest, "split_digest": split.digest}),
    )
    return entities.DatasetInput(dataset, tags=[entities.InputTag("mlflow.data.context", part)])


def _description(split: SplitRef) -> str:
    return (
        f"Biased matrix factorisation of **{split.source}**: {split.train_rows:,} train, {split.val_rows:,} val and "
        f"{split.test_rows:,} test ratings ({split.strategy} split); {split.users:,} users and {split.movies:,} "
        "movies in train."
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
