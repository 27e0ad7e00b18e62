"""What a store holds: whether it answers, its newest runs, and the last one that completed."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cfmodel.config import TrackingSettings
from cfmodel.errors import TrackingError
from cfmodel.system.addresses import shown
from cfmodel.tracking.run import Run, RunSummary
from cfmodel.tracking.store import client, experiment_named, is_missing, reaching, resolve_uri

#: What every run of the pipeline has once its data are recorded, and no other run has.
OF_PIPELINE = "tags.split_digest LIKE '%'"
#: Digest of all that a run was made from: data, settings and code.
INPUTS_DIGEST = "inputs_digest"

#: Tag of a champion with the version it took over from: what a rollback goes back to.
PREVIOUS_CHAMPION = "promotion.previous_champion"
#: Tag that MLflow shows as a run's description, as Markdown.
DESCRIPTION = "mlflow.note.content"

_NEWEST_FIRST = ("attributes.start_time DESC",)


@dataclass(frozen=True)
class AliasedVersion:
    """A version of a registered model that an alias points at.

    Attributes:
        alias: The alias, such as "champion".
        model_name: The registered model.
        number: The version, a whole number as text.
        run_id: The run that trained it.
        tags: Every tag of the version, as text.
    """

    alias: str
    model_name: str
    number: str
    run_id: str
    tags: dict[str, str]


@dataclass(frozen=True)
class ListedRun(RunSummary):
    """A run as a list shows it.

    Attributes:
        started: When it started.
        seconds: How long it took; None while it is open.
    """

    started: datetime
    seconds: float | None


def require_store(uri: str, *, create: bool = False) -> None:
    """Refuse a store that runs cannot be recorded in from here.

    Args:
        uri: Its address.
        create: Whether a SQLite store that is missing is made; else it is refused.

    Raises:
        TrackingError: It is away, or is a file that is not on this machine.
    """
    if is_missing(uri) and not create:
        raise TrackingError(
            f"{shown(uri)}: there is no such store on this machine; deploy from here with `make deploy`, or let "
            "machines share a server: export MLFLOW_TRACKING_URI=http://HOST:5000 and deploy again"
        )
    with reaching(uri, "asking the store"):
        if create:
            experiment_named(uri, TrackingSettings().experiment)
        client(uri).search_experiments(max_results=1)


def newest_runs(settings: TrackingSettings, *, limit: int, finished: bool = False) -> list[ListedRun]:
    """Return an experiment's newest runs of the pipeline, newest first; none where there is no store yet.

    Args:
        settings: Which store and which experiment.
        limit: How many at most.
        finished: Whether those alone count that came to their end.

    Raises:
        TrackingError: The store is away.
    """
    uri = resolve_uri(settings)
    if is_missing(uri):
        return []
    with reaching(uri, "listing runs"):
        store = client(uri)
        experiment = store.get_experiment_by_name(settings.experiment)
        if experiment is None:
            return []
        query = f"{OF_PIPELINE} AND attributes.status = 'FINISHED'" if finished else OF_PIPELINE
        found = store.search_runs([experiment.experiment_id], query, max_results=limit, order_by=_NEWEST_FIRST)
    return [listed(run, uri) for run in found]


def last_completed(settings: TrackingSettings) -> ListedRun | None:
    """Return the newest run of the pipeline that came to its end; None where there is none.

    Raises:
        TrackingError: The store is away.
    """
    return next(iter(newest_runs(settings, limit=1, finished=True)), None)


def aliased_versions(uri: str) -> list[AliasedVersion]:
    """Return the versions of all registered models that aliases point at; none where there is no store yet.

    Raises:
        TrackingError: The store is away.
    """
    if is_missing(uri):
        return []
    with reaching(uri, "looking up aliases"):
        store = client(uri)
        pointing = [
            (model.name, alias, str(number))
            for model in store.search_registered_models()
            for alias, number in model.aliases.items()
        ]
        found = {(name, number): store.get_model_version(name, number) for name, _, number in pointing}
    return [
        AliasedVersion(alias, name, number, found[name, number].run_id, dict(found[name, number].tags))
        for name, alias, number in pointing
    ]


def champion_besides(settings: TrackingSettings, run_id: str, *, model_name: str) -> ListedRun | None:
    """Return the run that a run is held against: the champion's, or that of the version it took over from.

    Args:
        settings: Which store.
        run_id: The run; where it trained the champion itself, the version before that is meant.
        model_name: The registered model whose champion it is.

    Raises:
        TrackingError: The store is away.
    """
    uri = resolve_uri(settings)
    aliased = aliased_versions(uri)
    champion = next((each for each in aliased if (each.model_name, each.alias) == (model_name, "champion")), None)
    if champion is None:
        return None
    other: str | None = champion.run_id
    with reaching(uri, "reading the run of the champion"):
        store = client(uri)
        if other == run_id:
            before = champion.tags.get(PREVIOUS_CHAMPION)
            other = before and store.get_model_version(champion.model_name, before).run_id
        return listed(store.get_run(other), uri) if other else None


def listed(run: Any, uri: str) -> ListedRun:
    """Return one of MLflow's runs as a list shows it."""
    info, data = run.info, run.data
    ended = None if info.end_time is None else (info.end_time - info.start_time) / 1000
    return ListedRun(
        run=Run(info.run_id, uri, info.experiment_id, info.run_name),
        status=info.status,
        metrics=dict(data.metrics),
        params=dict(data.params),
        tags=dict(data.tags),
        started=datetime.fromtimestamp(info.start_time / 1000, UTC),
        seconds=ended,
    )
