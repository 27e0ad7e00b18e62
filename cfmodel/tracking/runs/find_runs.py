"""Find a run by id, by name, or the newest; and the folders of its data and model."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.errors import DigestError, TrackingError
from cfmodel.system.addresses import redact
from cfmodel.tracking.outbox.mlflow_sender import LOCAL_ID
from cfmodel.tracking.run import RunSummary
from cfmodel.tracking.runs.lifecycle import read_run
from cfmodel.tracking.runs.list_runs import OF_PIPELINE, search_runs
from cfmodel.tracking.store import client, experiment_of, is_missing, reaching, require_experiment, resolve_uri


def find_run(settings: TrackingSettings, run: str | None = None) -> RunSummary:
    """Return a run of the pipeline: the named one, or the newest finished one.

    Args:
        settings: Which store and which experiment.
        run: Id of a run, its name (the newest run of that name), or an unambiguous start of its id; None: the
            newest finished run.

    Raises:
        TrackingError: There is no such run, or the experiment was deleted.
    """
    uri = resolve_uri(settings)
    if is_missing(uri):
        raise TrackingError(f"{redact(uri)}: there is no such store yet; run `cfmodel run` first, or set tracking.uri")
    with reaching(uri, "looking for a run"):
        found = _search(uri, experiment_of(settings), run)
    if found:
        return read_run(uri, found[0].info.run_id)
    require_experiment(settings)  # to run again would not help where it was deleted
    wanted = "no finished run" if run is None else f"no run with the id or name {run!r}"
    raise TrackingError(
        f"{redact(uri)}: experiment {experiment_of(settings)!r} has {wanted}; run `cfmodel run` first, or look them up "
        "with `cfmodel ui`"
    )


def train_settings_of(run: RunSummary) -> PipelineSettings:
    """Return the settings a run was trained with, from its parameters; other sections are defaults.

    Raises:
        ConfigError: Another version wrote parameters that this one does not know.
    """
    recorded = {name: _value(text) for name, text in run.params.items() if name.startswith("train.")}
    return PipelineSettings.of(overrides=recorded)


def data_folders(run: RunSummary, data_dir: Path) -> tuple[Path, Path]:
    """Return the folders of a run's split and model on this machine: the model's is in `data_dir` or beside the split.

    Raises:
        DigestError: They are not here.
    """
    uri = run.run.tracking_uri
    with reaching(uri, "reading the run's data sets"):
        inputs = client(uri).get_run(run.run.run_id).inputs.dataset_inputs
    parts = [Path(unquote(urlparse(json.loads(each.dataset.source)["uri"]).path)) for each in inputs]
    if not parts:
        raise DigestError(f"run {run.run.run_id}: has no data sets; choose a run of `cfmodel run`")
    first = parts[0].parent
    # The store identifies a split by its digest, and keeps the folder where it first was.
    split = first if first.is_dir() else _split_in(data_dir, run.tags.get("split_digest")) or first
    name = run.tags.get(LOCAL_ID, run.run.run_id)
    # A run may reuse a split of another data folder.
    models = [folder / "models" / name for folder in (first.parent.parent, data_dir)]
    model = next((folder for folder in models if folder.is_dir()), models[0])
    for folder in (split, model):
        if not folder.is_dir():
            raise DigestError(
                f"{folder}: run {run.run.run_id} had its data there and the folder is missing, or the run is of "
                "another machine; run the pipeline again here"
            )
    return split, model


def _split_in(data_dir: Path, digest: str | None) -> Path | None:
    """Return the folder of the split with a digest below a data folder; None if there is none."""
    for manifest in (data_dir / "splits").glob("*/manifest.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            if json.loads(manifest.read_text(encoding="utf-8"))["split"]["digest"] == digest:
                return manifest.parent.resolve()
    return None


def _search(uri: str, experiment: str, run: str | None) -> list[Any]:
    if run is None:
        return search_runs(uri, experiment, f"attributes.status = 'FINISHED' AND {OF_PIPELINE}", most=1)
    quoted = run.replace("'", "")
    for query in (f"attributes.run_id = '{quoted}'", f"attributes.run_name = '{quoted}'"):
        if found := search_runs(uri, experiment, query, most=1):
            return found
    return _search_by_prefix(uri, experiment, quoted)


def _search_by_prefix(uri: str, experiment: str, start: str) -> list[Any]:
    """Return the one run whose id starts with some text, or nothing; a TrackingError if there are several."""
    if not start.isalnum():
        return []
    found = search_runs(uri, experiment, f"attributes.run_id LIKE '{start}%'", most=6)
    if len(found) > 1:
        ids = ", ".join(run.info.run_id for run in found[:5])
        raise TrackingError(f"several runs have an id that starts with {start!r} ({ids}, ...); give more characters")
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
