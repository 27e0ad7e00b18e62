"""A data set logged to a run: counts, drift, profile and quarantine."""

import json
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from cfmodel import tracking
from cfmodel.config import IngestSettings, SplitSettings, TrackingSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.split import split


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "nightly.csv"
    rows = "".join(f"{user},{movie},{1 + user % 5}\n" for user in range(20) for movie in range(10))
    path.write_text(f"{rows}1,1,5\n<b>,x,=1+1\n")
    settings = IngestSettings(on_bad_row="quarantine")
    ingest(str(path), settings, folder=tmp_path)
    path.write_text(path.read_text() + "new,1,3\n")
    return ingest(str(path), settings, folder=tmp_path)


def test_a_split_knows_what_was_split(data, tmp_path):
    assert split(data, SplitSettings(), folder=tmp_path).data == data
    renamed = data.model_copy(update={"source": "elsewhere"})
    assert split(renamed, SplitSettings(), folder=tmp_path).data == renamed


def test_accounts_drift_profile_picture_and_quarantine_are_in_the_store(data, mlflow_store, tmp_path):
    run = tracking.start_run(TrackingSettings(uri=mlflow_store, experiment="data"))
    tracking.log_dataset(run, data)
    metrics = tracking.read_run(mlflow_store, run.run_id).metrics
    counts = ("rows_in", "kept_rows", "quarantined_rows", "merged_rows", "unrated_rows")
    rows = [metrics[f"data/{name}"] for name in counts]
    assert rows == [203, 201, 1, 1, 0]
    assert metrics["data/drift_volume_change"] == pytest.approx(1 / 200)
    client = MlflowClient(mlflow_store)
    names = {artifact.path for artifact in client.list_artifacts(run.run_id, "data")}
    assert names == {f"data/{name}" for name in ("profile.json", "profile.png", "manifest.json", "quarantine.parquet")}
    folder = Path(client.download_artifacts(run.run_id, "data", str(tmp_path)))
    profile = json.loads((folder / "profile.json").read_text())
    assert profile["accounts"]["quarantined"] == 1
    assert profile["drift"]["new_user_share"] == pytest.approx(1 / 21)
    assert pd.read_parquet(folder / "quarantine.parquet")["text"].tolist() == ["<b>,x,=1+1"]
    assert (folder / "profile.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_a_large_quarantine_stays_where_it_is(data, monkeypatch):
    monkeypatch.setattr("cfmodel.tracking.logging.datasets._MOST_QUARANTINE_BYTES", 10)
    from cfmodel.tracking.logging.datasets import dataset_files

    assert "data/quarantine.parquet" not in dataset_files(data)
