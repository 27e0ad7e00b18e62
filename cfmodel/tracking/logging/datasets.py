"""What came of a source's rows, in the store: counts as metrics, the profile and its picture as artifacts."""

import json
from pathlib import Path
from typing import Any

from cfmodel.refs import DatasetRef
from cfmodel.tracking.outbox.write import tell_files
from cfmodel.tracking.run import TrackedRun
from cfmodel.tracking.runs.lifecycle import log_metrics

#: Rows set aside are kept with the run up to this size; beyond, the data set's folder has them.
_MOST_QUARANTINE_BYTES = 10 * 1024 * 1024


def log_dataset(run: TrackedRun, data: DatasetRef) -> None:
    """Record what became of every row, how the data look, and how far they are from the previous run's.

    That is `data/rows_in`, `data/kept_rows` and their like, `data/drift_*`, and below `data/` the files
    `profile.json`, `profile.png`, `manifest.json` and, if it is not large, `quarantine.parquet`.

    Raises:
        DigestError: The data set has no profile.
        TrackingError: The store does not take them.
    """
    log_metrics(run, dataset_metrics(data))
    tell_files(run, dataset_files(data))


def dataset_metrics(data: DatasetRef) -> dict[str, float]:
    """Return what became of the rows, and the drift where there is one, as metrics."""
    accounts = data.accounts
    metrics: dict[str, float] = {
        "data/rows_in": accounts.rows_in,
        "data/kept_rows": accounts.kept,
        "data/quarantined_rows": accounts.quarantined,
        "data/merged_rows": accounts.merged,
        "data/unrated_rows": accounts.unrated,
        "data/users": data.users,
        "data/movies": data.movies,
        "data/rating_min": data.rating_min,
        "data/rating_max": data.rating_max,
    }
    if data.drift is not None:
        metrics |= {
            f"data/drift_{name}": value for name, value in data.drift.model_dump(exclude={"previous_digest"}).items()
        }
    return metrics


def dataset_files(data: DatasetRef) -> dict[str, Path | str | bytes]:
    """Return artifacts by their paths: files as they are, text, and a picture's bytes."""
    from cfmodel.data.ingest.profile import read_profile
    from cfmodel.plots.plots import png
    from cfmodel.plots.profile_plot import data_profile

    profile = read_profile(data.path)
    drift = None if data.drift is None else data.drift.model_dump(mode="json")
    told: dict[str, Any] = {**profile.model_dump(mode="json"), "drift": drift}
    files: dict[str, Path | str | bytes] = {
        "data/profile.json": json.dumps(told, indent=1) + "\n",
        "data/profile.png": png(data_profile(profile, data)),
        "data/manifest.json": data.path / "manifest.json",
    }
    aside = data.path / "quarantine.parquet"
    if aside.exists() and aside.stat().st_size <= _MOST_QUARANTINE_BYTES:
        files["data/quarantine.parquet"] = aside
    return files
