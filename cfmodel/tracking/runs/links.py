"""Links to MLflow's pages of a run and its experiment, without passwords."""

import re

from cfmodel.config import TrackingSettings
from cfmodel.tracking.run import TrackedRun
from cfmodel.tracking.store import experiment_named, experiment_of, reaching, resolve_uri

#: Without this MLflow's pages open on a view meant for language models.
_FOR_TRAINING = "workflowType=machine_learning"


def training_view(settings: TrackingSettings, *, port: int = 5000) -> str:
    """Return the link to the training view of the settings' experiment, which is created if missing."""
    uri = resolve_uri(settings)
    with reaching(uri, "opening the experiment"):
        return _training_view(uri, experiment_named(uri, experiment_of(settings)), port)


def experiment_url(run: TrackedRun, *, port: int = 5000) -> str:
    """Return the link to the training view of a run's experiment; `port` is that of MLflow's UI on this machine."""
    return _training_view(run.tracking_uri, run.experiment_id, port)


def run_url(run: TrackedRun, *, artifact: str | None = None, port: int = 5000) -> str:
    """Return the link to the run's page in MLflow's UI, or to an artifact on it; `port` as for `experiment_url`."""
    page = f"{_server(run.tracking_uri, port)}/#/experiments/{run.experiment_id}/runs/{run.run_id}"
    return f"{page}{f'/artifacts/{artifact}' if artifact else ''}?{_FOR_TRAINING}"


def _training_view(uri: str, experiment_id: str, port: int) -> str:
    return f"{_server(uri, port)}/#/experiments/{experiment_id}/runs?{_FOR_TRAINING}"


def _server(uri: str, port: int) -> str:
    if not uri.startswith("http"):
        return f"http://127.0.0.1:{port}"
    return re.sub(r"//[^/]*@", "//", uri).rstrip("/")
