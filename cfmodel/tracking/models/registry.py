"""The registered model in the store: its versions and their aliases."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cfmodel.config import MODEL, SYNTHETIC_MODEL, PromotionSettings
from cfmodel.errors import TrackingError
from cfmodel.system.addresses import redact
from cfmodel.tracking.run import TrackedRun
from cfmodel.tracking.store import client, mlflow, reaching

CHAMPION, CHALLENGER = "champion", "challenger"

#: Tag of a version with the address of its model.
_MODEL = "model_uri"
#: Tags of a run that are copied to its version, so that they outlive the run.
_FROM_RUN = ("data_digest", "split_digest", "commit", "health.verdict")


@dataclass(frozen=True)
class Version:
    """A version of a registered model, the run that trained it, and the aliases that point at it."""

    model_name: str
    number: str  #: a whole number as text
    run_id: str
    location: str  #: where its files are
    tracking_uri: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]

    @property
    def uri(self) -> str:
        """Its address in the registry, `models:/<name>/<number>`."""
        return f"models:/{self.model_name}/{self.number}"


def register(run: TrackedRun, model_uri: str, *, model_name: str) -> Version:
    """Register a run's recorded model as a version; create the registered model if it is missing.

    A model that is registered already keeps its version. `model_uri` is what `log_model` returned.
    """
    uri = run.tracking_uri
    with reaching(uri, f"registering the model of run {run.run_id}"):
        store = client(uri)
        _create_missing(store, model_name)
        for found in store.search_model_versions(f"name = '{model_name}' and run_id = '{run.run_id}'"):
            if found.tags.get(_MODEL) == model_uri:
                return version_of(uri, model_name, str(found.version))
        of_run = store.get_run(run.run_id).data.tags
        tags = {_MODEL: model_uri} | {name: of_run[name] for name in _FROM_RUN if name in of_run}
        source, model_id = _source(run, model_uri), model_uri.removeprefix("models:/")
        made = store.create_model_version(model_name, source, run_id=run.run_id, tags=tags, model_id=model_id)
    return version_of(uri, model_name, str(made.version))


def version_of(uri: str, model_name: str, wanted: str) -> Version:
    """Return a version by its number or by an alias; require that it exists.

    Raises:
        TrackingError: There is no such version.
    """
    found = find_version(uri, model_name, wanted)
    if found is None:
        raise TrackingError(
            f"{redact(uri)}: registered model {model_name!r} has no version or alias {wanted!r}; `cfmodel run` creates "
            "versions, and `cfmodel ui` lists them under Models"
        )
    return found


def find_among(uri: str, settings: PromotionSettings, wanted: str) -> Version | None:
    """Return a version of the registered model that the settings name; None if there is none.

    Without a name, the model of real ratings comes before that of generated ones.
    """
    names = [settings.model_name] if settings.model_name else [MODEL, SYNTHETIC_MODEL]
    return next(filter(None, (find_version(uri, name, wanted) for name in names)), None)


def find_version(uri: str, model_name: str, wanted: str) -> Version | None:
    """Return a version by its number or by an alias; None if there is none."""
    with reaching(uri, f"looking up version {wanted} of {model_name}"):
        store = client(uri)
        try:
            look_up = store.get_model_version if wanted.isdecimal() else store.get_model_version_by_alias
            found = look_up(model_name, wanted)
            # A version that is looked up by alias comes without its aliases.
            aliases = store.get_registered_model(model_name).aliases
            location = store.get_model_version_download_uri(model_name, str(found.version))
        except mlflow().exceptions.MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
    number = str(found.version)
    pointing = tuple(sorted(alias for alias, version in aliases.items() if str(version) == number))
    return Version(model_name, number, found.run_id, location, uri, dict(found.tags), pointing)


def set_alias(version: Version, alias: str) -> None:
    """Set an alias to a version; it no longer points at another."""
    with reaching(version.tracking_uri, f"making version {version.number} the {alias}"):
        client(version.tracking_uri).set_registered_model_alias(version.model_name, alias, version.number)


def remove_alias(version: Version, alias: str) -> None:
    """Remove an alias."""
    with reaching(version.tracking_uri, f"removing the alias {alias}"):
        client(version.tracking_uri).delete_registered_model_alias(version.model_name, alias)


def tag_version(version: Version, tags: Mapping[str, str], *, description: str | None = None) -> None:
    """Set tags of a version, and its description unless that is None."""
    with reaching(version.tracking_uri, f"writing to version {version.number}"):
        store = client(version.tracking_uri)
        for name, value in tags.items():
            store.set_model_version_tag(version.model_name, version.number, name, value)
        if description is not None:
            store.update_model_version(version.model_name, version.number, description)


def _source(run: TrackedRun, model_uri: str) -> str:
    """Return the source of a version in the form that the store accepts.

    A server accepts a model's address and refuses a folder; with a database MLflow would look the address
    up in its global store, which may be another.
    """
    if run.tracking_uri.startswith(("http://", "https://")):
        return model_uri
    return str(client(run.tracking_uri).get_logged_model(model_uri.removeprefix("models:/")).artifact_location)


def _create_missing(store: Any, model_name: str) -> None:
    try:
        store.create_registered_model(model_name)
    except mlflow().exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
