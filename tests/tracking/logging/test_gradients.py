"""What a store holds of a run's gradients once it is over, well or badly."""

import json
from pathlib import Path

import pytest
from histories import FOUR, history
from mlflow import MlflowClient

from cfmodel import tracking
from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.errors import DivergedError
from cfmodel.gradients.recording.archive import write_archive
from cfmodel.refs import SplitRef
from cfmodel.tracking import Run


def test_the_store_holds_all_records_of_a_runs_gradients(mlflow_store: str, watched_runs: list[Run]) -> None:
    client = MlflowClient(mlflow_store)
    healthy, broken = (client.get_run(run.run_id) for run in watched_runs)
    assert healthy.data.tags["health.verdict"] == "healthy"
    assert broken.data.tags["health.verdict"] == "error"
    run_id = broken.info.run_id
    files = {entry.path for entry in client.list_artifacts(run_id, "gradients")}
    names = ("health.json", "histograms.parquet", "records.json", "report.html", "steps.parquet")
    assert files == {f"gradients/{name}" for name in names}
    verdicts = json.loads(Path(client.download_artifacts(run_id, "gradients/health.json")).read_text())
    assert verdicts["verdicts"][0]["rule"] == "learning_rate_too_high"
    images = [entry.path for entry in client.list_artifacts(run_id, "images") if entry.path.endswith(".png")]
    assert {path.split("+")[0] for path in images} == {f"images/gradients~{table}" for table in FOUR}
    assert {path.split("+")[2] for path in images if "user_biases" in path} >= {"1", "2"}


def test_a_training_that_diverges_still_gets_a_report(
    mlflow_store: str, trained_split: SplitRef, tmp_path: Path
) -> None:
    write_archive(tmp_path, history(epochs=1, refit=False))
    run = tracking.start_run(TrackingSettings(uri=mlflow_store, experiment="gradients"))
    with pytest.raises(DivergedError), tracking.reported_on_error(run, tmp_path, trained_split):
        raise DivergedError("epoch 2: not finite")
    client = MlflowClient(mlflow_store)
    assert "health.verdict" in client.get_run(run.run_id).data.tags
    assert "gradients/report.html" in {entry.path for entry in client.list_artifacts(run.run_id, "gradients")}


def test_a_report_that_fails_does_not_hide_the_error_of_the_training(
    mlflow_store: str, trained_split: SplitRef, tmp_path: Path
) -> None:
    run = tracking.start_run(TrackingSettings(uri=mlflow_store, experiment="gradients"))
    (tmp_path / "records.json").write_text("{")
    with pytest.raises(DivergedError), tracking.reported_on_error(run, tmp_path, trained_split):
        raise DivergedError("epoch 2: not finite")


def test_a_lesson_that_fails_gives_its_reason_in_the_report(
    mlflow_store: str, trained_split: SplitRef, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tracking.start_run(TrackingSettings(uri=mlflow_store, experiment="gradients"))
    tracking.log_settings(run, PipelineSettings(), source="made up")
    write_archive(tmp_path, history(epochs=1, refit=False))
    tracking.log_gradients(run, tmp_path, trained_split, model=tmp_path / "absent")
    page = Path(MlflowClient(mlflow_store).download_artifacts(run.run_id, "gradients/report.html")).read_text()
    assert "There is no lesson" in page
    assert str(tmp_path / "absent") in page
    assert "has no lesson in its report" in caplog.text
