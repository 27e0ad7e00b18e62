"""What version 0.1.0 left on disk: model, Adam's state, archive and journal are read, its checkpoint is refused."""

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
from cfmodel.training.explain import explain
from cfmodel.training.planning.prior import Penalty
from cfmodel.training.resuming.adam_state import SavedAdamState
from cfmodel.training.resuming.checkpoint_policy import CheckpointPolicy
from cfmodel.training.resuming.checkpoints import CheckpointFolder
from cfmodel.training.train import train

EARLIER = Path(__file__).parent / "fixtures" / "written_by_0.1.0"
SETTINGS = TrainSettings(epochs=3, embedding_dim=3, engine="autograd", seed=1)


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """A copy that may be written to."""
    return Path(shutil.copytree(EARLIER, tmp_path / "earlier"))


def test_a_checkpoint_is_refused_with_its_format_and_a_remedy(earlier: Path) -> None:
    """Its weights are in rating units, where those of today are in standard deviations."""
    split = SplitRef.model_validate_json((earlier / "split.json").read_text())
    kept = sorted((earlier / "checkpoints").iterdir())
    with pytest.raises(
        CheckpointError,
        match=r"an older cfmodel wrote this checkpoint \(format 2, this one reads 3\); "
        "resume with the version that wrote it, or start a new run",
    ):
        train(
            split.model_copy(update={"path": earlier / "split"}),
            SETTINGS,
            device=torch.device("cpu"),
            monitor=MonitorSettings(sample_every=16),
            checkpoints=CheckpointPolicy(CheckpointFolder(earlier / "checkpoints"), identity={"split": "planted"}),
        )
    assert sorted((earlier / "checkpoints").iterdir()) == kept


def test_a_lesson_of_its_model_and_adam_state_is_right(earlier: Path) -> None:
    """Its tables are in rating units: a standard deviation counts as 1."""
    recommender = Recommender.load(earlier / "mlflow_model" / "data" / "model")
    memory = SavedAdamState.load(earlier / "adam.safetensors")
    assert (memory.step, recommender.model.scale.std) == (33, 1.0)
    assert memory.penalty == Penalty(memory.regularization, {}, is_constant=True)
    split = SplitRef.model_validate_json((earlier / "split.json").read_text())
    lesson = explain(recommender, split.model_copy(update={"path": earlier / "split"}), SETTINGS, adam=memory)
    answer = float(recommender.predict([lesson.user_id], [lesson.movie_id])[0])
    assert lesson.prediction.prediction == pytest.approx(answer, abs=1e-6)
    assert lesson.prediction.error == pytest.approx(lesson.prediction.rating - answer, abs=1e-6)
    assert lesson.start == {}
    for slope in lesson.slopes:
        assert slope.gradient == pytest.approx(slope.finite_difference, rel=1e-6)


def test_a_model_in_mlflow_answers_as_it_did(earlier: Path) -> None:
    model = mlflow().pyfunc.load_model(str(earlier / "mlflow_model"))
    pairs = pd.DataFrame({"user_id": ["1", "2", "1"], "movie_id": ["3", "4", "no such"]})
    assert model.predict(pairs)["prediction"].tolist() == pytest.approx([3.5625851, 3.5456388, 3.5932455], abs=1e-6)


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
