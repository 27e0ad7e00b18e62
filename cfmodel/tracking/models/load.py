"""Load a recorded model: the champion, a version, or the model of a run."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cfmodel.config import PipelineSettings
from cfmodel.errors import TrackingError
from cfmodel.system.addresses import redact
from cfmodel.tracking.models.registry import CHAMPION, Version, find_among
from cfmodel.tracking.recorded_model import difference_at, load_recommender, model_of, refusal_of
from cfmodel.tracking.run import RunSummary
from cfmodel.tracking.runs.find_runs import find_run
from cfmodel.tracking.runs.lifecycle import read_run
from cfmodel.tracking.store import client, is_missing, reaching, resolve_uri

if TYPE_CHECKING:
    from cfmodel.recommending.recommender import Recommender


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A recorded model, loaded, and the run that trained it; without a version if it was taken from the run."""

    recommender: "Recommender"
    name: str  #: for people: `cfmodel version 3 (champion)`, `the model of run ...`
    version: str | None
    run: RunSummary


def load_model(settings: PipelineSettings, wanted: str | None = None) -> LoadedModel:
    """Load a recorded model, and check every file.

    Args:
        settings: Which store, which registered model, which experiment.
        wanted: A version by number or alias, or a run by id or name; None: the champion, or if there
            is none the model of the newest finished run.

    Raises:
        DigestError: A file of the model is missing, changed or damaged.
        TrackingError: There is no such model, or the store is away.
    """
    uri = resolve_uri(settings.tracking)
    if is_missing(uri):
        raise TrackingError(f"{redact(uri)}: there is no such store yet; run `cfmodel run` first, or set tracking.uri")
    version = find_among(uri, settings.promotion, wanted or CHAMPION)
    return _of_run(find_run(settings.tracking, wanted)) if version is None else _of_version(version)


def _of_version(version: Version) -> LoadedModel:
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    return LoadedModel(
        recommender_of(version),
        f"{version.model_name} version {version.number}{aliases}",
        version.number,
        read_run(version.tracking_uri, version.run_id),
    )


def _of_run(run: RunSummary) -> LoadedModel:
    uri, model = run.run.tracking_uri, model_of(run.run)
    with reaching(uri, "looking up the run's model"):
        location = client(uri).get_logged_model(model.removeprefix("models:/")).artifact_location
    return LoadedModel(load_recommender(uri, location), f"the model of run {run.run.name}", None, run)


def check_version(version: Version, recommender: "Recommender") -> None:
    """Load a version from the registry and compare its answers with the recommender's.

    Raises:
        TrackingError: It does not load, or its answers differ.
    """
    difference = difference_at(version.tracking_uri, version.location, recommender)
    if difference is not None:
        raise TrackingError(refusal_of(version.tracking_uri, version.uri, difference))


def recommender_of(version: Version) -> "Recommender":
    """Load the recommender of a version, as `load_recommender` does."""
    return load_recommender(version.tracking_uri, version.location)
