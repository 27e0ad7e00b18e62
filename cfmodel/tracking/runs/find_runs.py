"""Runs found again: by id, by name, or the newest; and the folders they left behind."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.errors import DigestError, TrackingError
from cfmodel.system.addresses import shown
from cfmodel.tracking.outbox.mlflow_sender import LOCAL_ID
from cfmodel.tracking.run import RunSummary
from cfmodel.tracking.runs.lifecycle import read_run
from cfmodel.tracking.store import client, is_missing, reaching, resolve_uri

#: What every run of the pipeline has once its data are recorded, and no other run has.
_OF_PIPELINE = "tags.split_digest LIKE '%'"


def find_run(settings: TrackingSettings, run: str | None = None) -> RunSummary:
    """Return a run of the pipeline: the newest finished one, or the one asked for.

    Args:
        settings: Which store and which experiment.
        run: Id of a run, or its name (of several with that name the newest), or a start of an id that no
            other run shares.

    Raises:
        TrackingError: There is no such run, or the store is away.
    """
    uri = resolve_uri(settings)
    if is_missing(uri):
        raise TrackingError(f"{shown(uri)}: there is no such store yet; run `cfmodel run` first, or set tracking.uri")
    with reaching(uri, "looking for a run"):
        found = _search(uri, settings.experiment, run)
    if found:
        return read_run(uri, found[0].info.run_id)
    wanted = "no finished run" if run is None else f"no run with the id or name {run!r}"
    raise TrackingError(
        f"{shown(uri)}: experiment {settings.experiment!r} has {wanted}; run `cfmodel run` first, or look them up "
        "with `cfmodel ui`"
    )


def train_settings_of(run: RunSummary) -> PipelineSettings:
    """Return the settings a run was trained with, read back from its parameters; other sections are defaults.

    Raises:
        ConfigError: Another version wrote parameters this one does not know.
    """
    told = {name: _value(text) for name, text in run.params.items() if name.startswith("train.")}
    return PipelineSettings.of(overrides=told)


def data_folders(run: RunSummary, data_dir: Path) -> tuple[Path, Path]:
    """Return the folder of a run's split and that of its model, where the run left them on this machine.

    Args:
        run: Which run.
        data_dir: Folder for data, where its model is if it is not beside the split.

    Raises:
        DigestError: They are not here.
        TrackingError: The store is away.
    """
    uri = run.run.tracking_uri
    with reaching(uri, "reading the run's data sets"):
        inputs = client(uri).get_run(run.run.run_id).inputs.dataset_inputs
    parts = [Path(unquote(urlparse(json.loads(each.dataset.source)["uri"]).path)) for each in inputs]
    if not parts:
        raise DigestError(f"run {run.run.run_id}: names no data sets; take a run of `cfmodel run`")
    left = parts[0].parent
    # The store knows a split by its digest alone, and says where it was first.
    split = left if left.is_dir() else _split_in(data_dir, run.tags.get("split_digest")) or left
    name = run.tags.get(LOCAL_ID, run.run.run_id)
    # A split that was made for another folder of data may have been taken up again.
    homes = [home / "models" / name for home in (left.parent.parent, data_dir)]
    model = next((home for home in homes if home.is_dir()), homes[0])
    for folder in (split, model):
        if not folder.is_dir():
            raise DigestError(
                f"{folder}: run {run.run.run_id} left its data there and it is gone, or the run is of another "
                "machine; run the pipeline again here"
            )
    return split, model


def _split_in(data_dir: Path, digest: str | None) -> Path | None:
    """Return the folder below a folder for data that holds a split, by its digest; None where there is none."""
    for manifest in (data_dir / "splits").glob("*/manifest.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if json.loads(manifest.read_text(encoding="utf-8"))["split"]["digest"] == digest:
                return manifest.parent.resolve()
    return None


def _search(uri: str, experiment: str, run: str | None) -> list[Any]:
    store = client(uri)
    within = store.get_experiment_by_name(experiment)
    if within is None:
        return []
    ids = [within.experiment_id]
    if run is None:
        query = f"attributes.status = 'FINISHED' AND {_OF_PIPELINE}"
        return list(store.search_runs(ids, query, max_results=1, order_by=["attributes.start_time DESC"]))
    quoted = run.replace("'", "")
    for query in (f"attributes.run_id = '{quoted}'", f"attributes.run_name = '{quoted}'"):
        if found := store.search_runs(ids, query, max_results=1, order_by=["attributes.start_time DESC"]):
            return list(found)
    return _starting_with(store, ids, quoted)


def _starting_with(store: Any, experiments: list[str], start: str) -> list[Any]:
    """Return the one run whose id starts so; none where there is no such run.

    Raises:
        TrackingError: There are several.
    """
    if not start.isalnum():
        return []
    found = list(store.search_runs(experiments, f"attributes.run_id LIKE '{start}%'", max_results=6))
    if len(found) > 1:
        ids = ", ".join(run.info.run_id for run in found[:5])
        raise TrackingError(f"several runs have an id that starts with {start!r} ({ids}, ...); give more of it")
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
