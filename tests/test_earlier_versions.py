"""What version 0.1.0 left on disk is read as it was: checkpoint, model, Adam's state, archive and journal."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from mlflow import MlflowClient

from cfmodel.config import MonitorSettings, TrainSettings
from cfmodel.errors import CheckpointError
from cfmodel.gradients.recording.archive import read_archive
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef
from cfmodel.tracking.outbox.deliver import deliver
from cfmodel.tracking.outbox.journal import Journal
from cfmodel.tracking.store import mlflow
from cfmodel.training.epoch_records import EpochRecord
from cfmodel.training.resuming.adam_state import SavedAdamState
from cfmodel.training.resuming.checkpoint_policy import CheckpointPolicy
from cfmodel.training.resuming.checkpoints import CheckpointFolder
from cfmodel.training.train import TrainingResult, train

EARLIER = Path(__file__).parent / "fixtures" / "written_by_0.1.0"
SETTINGS = TrainSettings(epochs=3, embedding_dim=3, engine="autograd", seed=1)


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A copy that may be written to."""
    return Path(shutil.copytree(EARLIER, tmp_path / "earlier"))


def gone_on(earlier: Path, told: list[object], **identity: str) -> TrainingResult:
    split = SplitRef.model_validate_json((earlier / "split.json").read_text())
    return train(
        split.model_copy(update={"path": earlier / "split"}),
        SETTINGS,
        device=torch.device("cpu"),
        on_record=told.append,
        monitor=MonitorSettings(sample_every=16),
        checkpoints=CheckpointPolicy(
            CheckpointFolder(earlier / "checkpoints"), identity={"split": "planted", **identity}
        ),
    )


def test_a_training_goes_on_from_its_checkpoint_and_ends_as_it_would_have(earlier: Path) -> None:
    told: list[object] = []
    result = gone_on(earlier, told)
    epochs = [(record.phase, record.epoch) for record in told if isinstance(record, EpochRecord)]
    assert epochs == [("fit", 1), ("fit", 2), ("fit", 3), *(("refit", epoch) for epoch in range(1, result.epochs + 1))]
    whole = Recommender.load(earlier / "mlflow_model" / "data" / "model").model.state_dict()
    for name, table in result.recommender.model.state_dict().items():
        assert torch.equal(table, whole[name]), name
    memory = SavedAdamState.load(earlier / "adam.safetensors")
    assert memory.step == result.adam.step == 33
    for name, table in result.adam.second_moments.items():
        assert torch.equal(table, memory.second_moments[name]), name


def test_a_checkpoint_of_other_code_is_refused_by_name(earlier: Path) -> None:
    with pytest.raises(CheckpointError, match=r"differs in code_digest; .* or start a new run"):
        gone_on(earlier, [], code_digest="of today")


def test_a_model_in_mlflow_answers_as_it_did(earlier: Path) -> None:
    model = mlflow().pyfunc.load_model(str(earlier / "mlflow_model"))
    pairs = pd.DataFrame({"user_id": ["1", "2", "1"], "movie_id": ["3", "4", "no such"]})
    assert model.predict(pairs).tolist() == pytest.approx([3.5625851, 3.5456388, 3.5932455], abs=1e-6)


def test_an_archive_is_read_back(earlier: Path) -> None:
    history = GradientHistory.of(read_archive(earlier / "archive"))
    assert [sample.step for sample in history.samples] == [1, 4, 10, 16, 20, 30]
    assert history.blocks[0].loss[0] == pytest.approx(1.5637023, abs=1e-7)
    assert history.epochs[-1].prediction_std == pytest.approx(0.0349150, abs=1e-7)


def test_a_journal_is_brought_to_a_store(earlier: Path, make_mlflow_store: Callable[[Path], str]) -> None:
    uri = make_mlflow_store(earlier)
    sent = deliver(Journal(earlier / "journal"), uri)
    assert (sent.refused, sent.away_since) == ((), None)
    run = MlflowClient(uri).get_run(sent.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["note"] == "written while the store was away"
    assert run.data.params["train.embedding_dim"] == "50"
    points = MlflowClient(uri).get_metric_history(sent.run_id, "val/rmse")
    assert [point.step for point in points] == [1, 2, 3]
