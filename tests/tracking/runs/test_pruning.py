"""Runs and versions that may be removed."""

from collections.abc import Callable

from mlflow import MlflowClient

from cfmodel import tracking
from cfmodel.config import TrackingSettings
from cfmodel.refs import SplitRef
from cfmodel.tracking import Run


def test_running_runs_and_those_with_a_version_are_needed(
    experiment: TrackingSettings, make_run: Callable[..., Run], client: MlflowClient, split: SplitRef
) -> None:
    running, champion, versioned, other = (make_run(name, finished=name != "running") for name in ("running", *"abc"))
    model = experiment.experiment
    client.create_registered_model(model)
    for run in (champion, versioned):
        client.create_model_version(model, "file:///nowhere", run_id=run.run_id)
    client.set_registered_model_alias(model, "champion", "1")
    needs = tracking.needs_of(experiment)
    assert needs.runs[running.run_id] == "it is running"
    assert needs.runs[champion.run_id] == "it is the champion"
    assert split.digest in needs.digests
    versions = [item for item in tracking.versions_in(champion.tracking_uri) if item.name.startswith(model)]
    assert {item.name: item.needed_by for item in versions} == {f"{model}/1": "it is the champion", f"{model}/2": None}
    reasons = {item.name: item.needed_by for item in tracking.runs_in(experiment, needs, versions)}
    assert reasons[versioned.run_id] == f"it trained version {model}/2"
    assert reasons[other.run_id] is None


def test_a_removed_run_is_marked_as_deleted(
    experiment: TrackingSettings, make_run: Callable[..., Run], client: MlflowClient
) -> None:
    run = make_run("old")
    (item,) = tracking.runs_in(experiment, tracking.needs_of(experiment), [])
    tracking.remove_run(run.tracking_uri, item)
    assert client.get_run(run.run_id).info.lifecycle_stage == "deleted"
    assert tracking.runs_in(experiment, tracking.needs_of(experiment), []) == []
