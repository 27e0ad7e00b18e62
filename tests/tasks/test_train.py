"""The task that trains a model."""

from typing import Any

from cfmodel.recommending.recommender import Recommender
from cfmodel.training.epoch_records import EpochRecord


def test_the_model_is_saved_in_the_data_folder_under_the_runs_id(pieces: Any) -> None:
    assert pieces.run.model_path == pieces.settings.runtime.data_dir / "models" / pieces.run.run_id
    assert len(Recommender.load(pieces.run.model_path, digest=pieces.run.model_digest).users) == pieces.parts.users


def test_engine_metrics_and_model_are_in_the_mlflow_run(pieces: Any) -> None:
    assert pieces.recorded.data.tags["engine"] == "fused"
    assert "CPU" in pieces.recorded.data.tags["engine_reason"]
    assert pieces.recorded.data.metrics["train/epochs"] == 4
    assert [output.model_id for output in pieces.recorded.outputs.model_outputs]


def test_every_epoch_is_shown_on_the_terminal(pieces: Any) -> None:
    epochs = [record.epoch for record in pieces.screen.records if isinstance(record, EpochRecord)]
    assert epochs[:4] == [1, 2, 3, 4]
