"""List the runs of a store and the versions that its aliases point at."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cfmodel.config import TrackingSettings
from cfmodel.errors import TrackingError
from cfmodel.system.addresses import redact
from cfmodel.tracking.run import Run, RunSummary
from cfmodel.tracking.store import client, experiment_named, experiment_of, is_missing, reaching, resolve_uri

#: Query for runs of the pipeline: they all have this tag, and no other run does.
OF_PIPELINE = "tags.split_digest LIKE '%'"
#: Tag with the digest of all inputs of a run: data, settings and code.
INPUTS_DIGEST = "inputs_digest"

#: Tag of a champion with the version it replaced, which a rollback restores.
PREVIOUS_CHAMPION = "promotion.previous_champion"
#: Tag that MLflow shows as a run's description, in Markdown.
DESCRIPTION = "mlflow.note.content"


@dataclass(frozen=True)
class AliasedVersion:
    """A version of a registered model that an alias points at, and the run that trained it."""

    alias: str
    model_name: str
    number: str  #: a whole number as text
    run_id: str
    tags: dict[str, str]


@dataclass(frozen=True)
class ListedRun(RunSummary):
    """A run in a list, with its start and its duration; None while it is open."""

    started: datetime
    seconds: float | None


def require_store(uri: str, *, create: bool = False) -> None:
    """Refuse a store that is away, and a SQLite file that is not on this machine; with `create`, create that."""
    if is_missing(uri) and not create:
        raise TrackingError(
            f"{redact(uri)}: there is no such store on this machine; deploy from here with `make deploy`, or let "
            "machines share a server: export MLFLOW_TRACKING_URI=http://HOST:5000 and deploy again"
        )
    with reaching(uri, "asking the store"):
        if create:
            experiment_named(uri, experiment_of(TrackingSettings()))
        client(uri).search_experiments(max_results=1)


def newest_runs(settings: TrackingSettings, *, limit: int, finished: bool = False) -> list[ListedRun]:
    """Return an experiment's newest runs of the pipeline, newest first; none if there is no store yet."""
    uri = resolve_uri(settings)
    if is_missing(uri):
        return []
    query = f"{OF_PIPELINE} AND attributes.status = 'FINISHED'" if finished else OF_PIPELINE
    with reaching(uri, "listing runs"):
        return [_listed(run, uri) for run in search_runs(uri, experiment_of(settings), query, most=limit)]


def other_experiments(settings: TrackingSettings) -> list[str]:
    """Return the names of the other experiments of the store, at most ten; none if there is no store yet."""
    uri = resolve_uri(settings)
    if is_missing(uri):
        return []
    with reaching(uri, "listing experiments"):
        found = client(uri).search_experiments(max_results=11)
    return [each.name for each in found if each.name not in (experiment_of(settings), "Default")][:10]


def search_runs(uri: str, experiment: str, query: str, *, most: int) -> list[Any]:
    """Return MLflow's entries of the newest runs that match a query; none if there is no such experiment."""
    store = client(uri)
    found = store.get_experiment_by_name(experiment)
    if found is None:
        return []
    newest = ["attributes.start_time DESC"]
    return list(store.search_runs([found.experiment_id], query, max_results=most, order_by=newest))


def last_completed(settings: TrackingSettings) -> ListedRun | None:
    """Return the newest finished run of the pipeline; None if there is none."""
    return next(iter(newest_runs(settings, limit=1, finished=True)), None)


def aliased_versions(uri: str) -> list[AliasedVersion]:
    """Return the versions of all registered models that aliases point at; none if there is no store yet."""
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
    """Return the champion's run, to compare a run with; None if there is no champion besides the run itself.

    If the run trained the champion, the run of the champion before it is returned.
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
        return _listed(store.get_run(other), uri) if other else None


def _listed(run: Any, uri: str) -> ListedRun:
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
