"""List the runs and versions of a store that may be removed, and what they need on this disk."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from cfmodel.config import TrackingSettings
from cfmodel.housekeeping.folders import Needs
from cfmodel.housekeeping.policy import Item
from cfmodel.tracking.runs.list_runs import OF_PIPELINE, PREVIOUS_CHAMPION, aliased_versions
from cfmodel.tracking.store import client, experiment_of, is_missing, mlflow, reaching, resolve_uri

_LIVE = ("RUNNING", "SCHEDULED")
#: Runs of the pipeline, and comparisons of them; other runs of an experiment are never removed.
_OURS = (OF_PIPELINE, "tags.kind = 'comparison'")
_PAGE = 1000


def needs_of(settings: TrackingSettings) -> Needs:
    """Return what the store's aliased versions and its live runs need, over all experiments."""
    uri = resolve_uri(settings)
    if is_missing(uri):
        return Needs({}, {}, frozenset())
    versions = {(item.name, item.needed_by) for item in versions_in(uri) if item.needed_by is not None}
    with reaching(uri, "looking for runs"):
        known = list(_all_runs(uri))
        by_version = {_run_of(uri, name): reason for name, reason in versions}
    reasons = {run.info.run_id: "it is running" for run in known if run.info.status in _LIVE}
    reasons |= {run_id: str(reason) for run_id, reason in by_version.items()}
    digests = {
        run.data.tags[tag]: reasons[run.info.run_id]
        for run in known
        if run.info.run_id in reasons
        for tag in ("data_digest", "split_digest")
        if tag in run.data.tags
    }
    return Needs(reasons, digests, frozenset(run.info.run_id for run in known))


def versions_in(uri: str) -> list[Item]:
    """Return every version of every registered model, named `model/number`; aliased ones are needed."""
    if is_missing(uri):
        return []
    reasons: dict[str, str] = {}
    for found in aliased_versions(uri):
        reasons[f"{found.model_name}/{found.number}"] = f"it is the {found.alias}"
        if (before := found.tags.get(PREVIOUS_CHAMPION)) is not None:
            reasons.setdefault(f"{found.model_name}/{before}", f"the {found.alias} replaced it")
    with reaching(uri, "listing model versions"):
        versions = list(_pages(client(uri).search_model_versions))
    named = ((f"{version.name}/{version.version}", version) for version in versions)
    return [
        Item("versions", name, _moment(version.last_updated_timestamp), reasons.get(name)) for name, version in named
    ]


def runs_in(settings: TrackingSettings, needs: Needs, versions: Iterable[Item]) -> list[Item]:
    """Return an experiment's runs and comparisons; those that are in `needs` or have a version are needed."""
    uri = resolve_uri(settings)
    if is_missing(uri):
        return []
    with reaching(uri, "listing runs"):
        experiment = client(uri).get_experiment_by_name(experiment_of(settings))
        if experiment is None:
            return []
        of_versions = {_run_of(uri, version.name): f"it trained version {version.name}" for version in versions}
        search = client(uri).search_runs
        found = [run for query in _OURS for run in _pages(search, [experiment.experiment_id], query)]
        ids = [(run.info.run_id, run.info.end_time or run.info.start_time) for run in found]
    return [
        Item("runs", run_id, _moment(ended), needs.runs.get(run_id) or of_versions.get(run_id)) for run_id, ended in ids
    ]


def remove_version(uri: str, item: Item) -> None:
    """Remove a version of a registered model."""
    name, _, number = item.name.rpartition("/")
    with reaching(uri, f"removing version {item.name}"):
        client(uri).delete_model_version(name, number)


def remove_run(uri: str, item: Item) -> None:
    """Mark a run as deleted; `mlflow gc` frees its space."""
    with reaching(uri, f"removing run {item.name}"):
        client(uri).delete_run(item.name)


def _all_runs(uri: str) -> Iterator[Any]:
    """Yield every run of every experiment, deleted ones too."""
    view = mlflow().entities.ViewType.ALL
    experiments = [found.experiment_id for found in _pages(client(uri).search_experiments, view_type=view)]
    if experiments:
        yield from _pages(client(uri).search_runs, experiments, run_view_type=view)


def _run_of(uri: str, version: str) -> str:
    name, _, number = version.rpartition("/")
    return str(client(uri).get_model_version(name, number).run_id)


def _pages(search: Any, *arguments: Any, **options: Any) -> Iterator[Any]:
    page = search(*arguments, max_results=_PAGE, **options)
    yield from page
    while page.token:
        page = search(*arguments, max_results=_PAGE, page_token=page.token, **options)
        yield from page


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
