"""Log a data set: counts of rows as metrics, its profile and a plot of it as artifacts."""

import json
from pathlib import Path
from typing import Any

from cfmodel.refs import DatasetRef
from cfmodel.tracking.outbox.log_entries import log_files
from cfmodel.tracking.run import TrackedRun
from cfmodel.tracking.runs.lifecycle import log_metrics

#: Largest file of quarantined rows that is logged; a larger one stays in the data set's folder only.
_MOST_QUARANTINE_BYTES = 10 * 1024 * 1024


def log_dataset(run: TrackedRun, data: DatasetRef) -> None:
    """Log the counts of rows, the profile of the data, and the drift since the previous run.

    These are the metrics `data/rows_in`, `data/kept_rows` and so on and `data/drift_*`, and below `data/`
    the files `profile.json`, `profile.png`, `manifest.json` and, unless it is large, `quarantine.parquet`.

    Raises:
        DigestError: The data set has no profile.
        TrackingError: The store refuses them.
    """
    log_metrics(run, _dataset_metrics(data))
    log_files(run, dataset_files(data))


def _dataset_metrics(data: DatasetRef) -> dict[str, float]:
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
    """Return a data set's artifacts by path: a file, a text, or the bytes of a plot."""
    from cfmodel.data.ingest.profile import read_profile
    from cfmodel.plots.plots import png
    from cfmodel.plots.profile_plot import data_profile

    profile = read_profile(data.path)
    drift = None if data.drift is None else data.drift.model_dump(mode="json")
    content: dict[str, Any] = {**profile.model_dump(mode="json"), "drift": drift}
    files: dict[str, Path | str | bytes] = {
        "data/profile.json": json.dumps(content, indent=1) + "\n",
        "data/profile.png": png(data_profile(profile, data)),
        "data/manifest.json": data.path / "manifest.json",
    }
    aside = data.path / "quarantine.parquet"
    if aside.exists() and aside.stat().st_size <= _MOST_QUARANTINE_BYTES:
        files["data/quarantine.parquet"] = aside
    return files
