"""The model somebody asks for, from wherever it is recorded: the champion, a version, a run's."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cfmodel.addresses import shown
from cfmodel.config import PipelineSettings
from cfmodel.errors import TrackingError
from cfmodel.tracking.finding import find_run
from cfmodel.tracking.models import load_recommender, model_of
from cfmodel.tracking.registry import CHAMPION, Version, find_version
from cfmodel.tracking.runs import read_run
from cfmodel.tracking.store import client, is_missing, reaching, resolve_uri
from cfmodel.tracking.tracked import RunSummary

if TYPE_CHECKING:
    from cfmodel.recommender import Recommender


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A recorded model, loaded.

    Attributes:
        recommender: The model.
        name: What it is, for people: `cfmodel version 3 (champion)`, `the model of run ...`.
        version: Its version; None where it was taken from a run.
        run: The run that trained it.
    """

    recommender: "Recommender"
    name: str
    version: str | None
    run: RunSummary


def load_model(settings: PipelineSettings, wanted: str | None = None) -> LoadedModel:
    """Load a recorded model, checking every file.

    Args:
        settings: Which store, which registered model, which experiment.
        wanted: A version by number or alias, or a run by id or name; None: the champion, or while
            there is none the model of the newest finished run.

    Raises:
        DigestError: A file of the model is missing, changed or damaged.
        TrackingError: There is no such model, or the store is away.
    """
    uri = resolve_uri(settings.tracking)
    if is_missing(uri):
        raise TrackingError(f"{shown(uri)}: there is no such store yet; run `cfmodel run` first, or set tracking.uri")
    version = find_version(uri, settings.promotion.model_name, wanted or CHAMPION)
    if version is not None:
        return _of_version(version)
    return _of_run(find_run(settings.tracking, wanted))


def _of_version(version: Version) -> LoadedModel:
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    return LoadedModel(
        load_recommender(version.tracking_uri, version.location),
        f"{version.model_name} version {version.number}{aliases}",
        version.number,
        read_run(version.tracking_uri, version.run_id),
    )


def _of_run(run: RunSummary) -> LoadedModel:
    uri, model = run.run.tracking_uri, model_of(run.run)
    with reaching(uri, "looking up the run's model"):
        location = client(uri).get_logged_model(model.removeprefix("models:/")).artifact_location
    return LoadedModel(load_recommender(uri, location), f"the model of run {run.run.name}", None, run)
