"""The health verdicts of a real run in MLflow and Prefect, and a run that they stop."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from cfmodel.errors import UnhealthyError
from flows.pipeline import pipeline

SOURCE = "synthetic:users=120,movies=60,ratings=3000"
TOO_WIDE = {"train.init_std": 2.0, "train.epochs": 3, "train.embedding_dim": 8, "train.refit": False}


def test_an_unhealthy_run_is_marked_in_mlflow_and_in_prefect(
    prefect_api: str, mlflow_store: str, tmp_path: Path
) -> None:
    here = {"runtime.data_dir": str(tmp_path), "runtime.device": "cpu", "tracking.uri": mlflow_store}
    run = pipeline(SOURCE, overrides=TOO_WIDE | here)
    client = MlflowClient(mlflow_store)
    tags = client.get_run(run.run_id).data.tags
    assert tags["health.verdict"] == "error"
    assert tags["health.first"].startswith("initialisation_too_large [exploding]")
    health = json.loads(Path(client.download_artifacts(run.run_id, "gradients/health.json", str(tmp_path))).read_text())
    assert health["verdicts"][0]["rule"] == "initialisation_too_large"
    with get_client(sync_client=True) as prefect:
        keyed = ArtifactFilter(key=ArtifactFilterKey(any_=["health"]))
        tables = [json.loads(str(artifact.data)) for artifact in prefect.read_artifacts(artifact_filter=keyed)]
    assert any(rows[0].get("rule") == "initialisation_too_large" for rows in tables)


def test_an_unhealthy_training_is_stopped_after_its_first_epoch(
    prefect_api: str, mlflow_store: str, tmp_path: Path
) -> None:
    stop = {"runtime.data_dir": str(tmp_path), "runtime.device": "cpu", "tracking.uri": mlflow_store}
    stop |= {"health.on_unhealthy": "stop", "tracking.experiment": "stopped"}
    with pytest.raises(UnhealthyError, match="epoch 1: initialisation_too_large"):
        pipeline(SOURCE, overrides=TOO_WIDE | stop)
    client = MlflowClient(mlflow_store)
    experiment = client.get_experiment_by_name("stopped")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FAILED"
    assert run.data.tags["health.verdict"] == "error"
