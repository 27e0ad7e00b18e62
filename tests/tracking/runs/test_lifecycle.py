"""Runs in a real MLflow store on SQLite, read back with MLflow's own client."""

import json
import subprocess
from pathlib import Path

import pytest
from mlflow import MlflowClient

import cfmodel
from cfmodel import tracking
from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.errors import TrackingError
from cfmodel.refs import SplitRef
from cfmodel.tracking import Run


def test_a_run_has_the_tags_of_its_code_and_of_the_caller(mlflow_store: str, run: Run) -> None:
    tags = tracking.read_run(mlflow_store, run.run_id).tags
    assert tags["cfmodel_version"] == cfmodel.__version__
    assert tags["device"] == "cpu"
    checkout = Path(cfmodel.__file__).parent.parent
    if (checkout / ".git").exists():
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True)
        assert tags["commit"].removesuffix("-dirty") == head.stdout.strip()


def test_a_run_is_named_by_the_caller_or_by_its_settings(mlflow_store: str) -> None:
    settings = TrackingSettings(uri=mlflow_store, run_name="nightly")
    assert tracking.start_run(settings).name == "nightly"
    assert tracking.start_run(settings, name="by hand").name == "by hand"


def test_every_setting_of_a_run_is_a_parameter(mlflow_store: str, run: Run) -> None:
    settings = PipelineSettings.of(overrides={"train.epochs": 7, "tracking.uri": "http://me@host:5000"})
    tracking.log_settings(run, settings, source="ratings.csv")
    params = tracking.read_run(mlflow_store, run.run_id).params
    others = {name for name in settings.flat() if name.startswith(("scoring.", "keep."))}
    assert set(params) == {"source", *settings.flat()} - others
    assert (params["source"], params["train.epochs"], params["train.batch_size"]) == ("ratings.csv", "7", "null")
    assert (params["train.refit"], params["evaluation.k"]) == ("true", "[10]")
    assert params["tracking.uri"] == "http://***@host:5000"


def test_other_settings_for_the_same_run_are_refused(run: Run) -> None:
    tracking.log_settings(run, PipelineSettings(), source="a.csv")
    tracking.log_settings(run, PipelineSettings(), source="a.csv")
    with pytest.raises(TrackingError, match="Changing param values is not allowed"):
        tracking.log_settings(run, PipelineSettings(), source="b.csv")


def test_the_parts_of_the_split_are_inputs_with_their_digests(client: MlflowClient, run: Run, split: SplitRef) -> None:
    tracking.log_split(run, split)
    found = client.get_run(run.run_id)
    rows = {}
    for given in found.inputs.dataset_inputs:
        assert given.dataset.digest == split.digest[:36]
        assert json.loads(given.dataset.schema)["mlflow_colspec"][0]["name"] == "user_id"
        part = {tag.key: tag.value for tag in given.tags}["mlflow.data.context"]
        assert json.loads(given.dataset.source)["uri"].endswith(f"{part}.parquet")
        rows[part] = json.loads(given.dataset.profile)["num_rows"]
    assert rows == {"train": 80, "val": 10, "test": 20}
    assert (found.data.tags["data_digest"], found.data.tags["split_digest"]) == (split.data_digest, split.digest)
    assert "80 train, 10 val and 20 test ratings" in found.data.tags["mlflow.note.content"]


def test_an_unknown_run_is_refused(mlflow_store: str) -> None:
    with pytest.raises(TrackingError, match="reading run no-such failed"):
        tracking.read_run(mlflow_store, "no-such")


@pytest.mark.parametrize(
    ("raised", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")]
)
def test_an_error_ends_the_run_as_failed_and_a_cancel_as_killed(
    mlflow_store: str, run: Run, raised: type[BaseException], status: str
) -> None:
    with pytest.raises(raised), tracking.ended_on_error(run):
        raise raised
    assert tracking.read_run(mlflow_store, run.run_id).status == status


def test_a_run_stays_open_until_it_is_ended(mlflow_store: str, run: Run) -> None:
    with tracking.ended_on_error(run):
        tracking.log_metrics(run, {"test/rmse": 0.9})
    assert tracking.read_run(mlflow_store, run.run_id).status == "RUNNING"
    tracking.end_run(run)
    summary = tracking.read_run(mlflow_store, run.run_id)
    assert (summary.status, summary.metrics, summary.run) == ("FINISHED", {"test/rmse": 0.9}, run)
