from pathlib import Path

import numpy as np
from epochs import epoch
from mlflow import MlflowClient

from cfmodel import tracking
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.evaluation.evaluate import Evaluation
from cfmodel.evaluation.slices import error_by_popularity, predicted_against_true
from cfmodel.tracking import Run

PLOTS = ("learning_curves", "predicted_against_true", "error_by_popularity")


def test_an_evaluation_is_recorded_with_its_card_and_plots(
    client: MlflowClient, mlflow_store: str, run: Run, tmp_path: Path
) -> None:
    with tracking.recorder(run) as record:
        record(epoch(1, best=True))
        record(epoch(2))
    tracking.log_evaluation(run, _evaluation())
    assert tracking.read_run(mlflow_store, run.run_id).metrics["test/ndcg_at_10"] == 0.3
    assert client.download_artifacts(run.run_id, "metric_card.md", str(tmp_path))
    assert (tmp_path / "metric_card.md").read_text() == "# Card\n"
    plots = {artifact.path: artifact.file_size for artifact in client.list_artifacts(run.run_id, "plots")}
    assert set(plots) == {f"plots/{name}.png" for name in PLOTS}
    assert min(plots.values()) > 10_000


def _evaluation() -> Evaluation:
    generator = np.random.default_rng(0)
    ratings = generator.integers(1, 6, 400).astype(np.float32)
    predictions = np.clip(3 + 0.5 * (ratings - 3) + generator.normal(0, 0.5, 400), 1, 5).astype(np.float32)
    movies = generator.integers(0, 40, 400).astype(np.int32)
    test = RatingArrays(np.zeros(400, np.int32), movies, ratings, None)
    return Evaluation(
        metrics={"test/rmse": 0.9, "test/ndcg_at_10": 0.3},
        metric_card="# Card\n",
        predicted_against_true=predicted_against_true(ratings, predictions, rating_min=1.0, rating_max=5.0),
        error_by_popularity=error_by_popularity(test, predictions, counts=np.arange(40)),
        relevance_threshold=4.0,
        seconds=0.1,
    )
