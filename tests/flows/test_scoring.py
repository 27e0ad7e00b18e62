"""The scoring flow with a real Prefect server and a real MLflow store."""

from pathlib import Path
from uuid import uuid4

import pandas as pd
import pytest

from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.errors import TrackingError, VocabularyError
from cfmodel.refs import ScoresRef
from flows.pipeline import pipeline
from flows.scoring import scoring


def test_the_champion_scores_everybody_and_latest_points_at_the_lists(
    prefect_api: str, mlflow_store: str, tmp_path: Path
) -> None:
    name = f"nightly-{uuid4().hex[:8]}"
    own = {"runtime.data_dir": str(tmp_path), "runtime.device": "cpu", "tracking.uri": mlflow_store}
    own |= {"promotion.model_name": name, "tracking.experiment": name}
    learning = {"train.epochs": 6, "train.embedding_dim": 4, "train.learning_rate": 0.02}
    source = "synthetic:users=200,movies=80,ratings=8000"

    def score(**changes: object) -> ScoresRef:
        return scoring(overrides=own | {"scoring.k": 3}, **changes)  # type: ignore[arg-type]

    with pytest.raises(TrackingError, match=r"no finished run|no such store"):
        score()
    run = pipeline(source, overrides=own | learning)
    settings = PipelineSettings.of(overrides=own)
    champion = tracking.version_of(mlflow_store, name, tracking.CHAMPION)
    assert champion.run_id == run.run_id
    ref = score()
    assert ref.model_name == f"{name} version 1 (champion)"
    table = pd.read_parquet(tmp_path / "recommendations" / "latest")
    assert len(table) == ref.rows == 3 * ref.users == 3 * 200
    rated = {
        (user, movie)
        for part in ("train", "val", "test")
        for path in tmp_path.glob(f"splits/*/{part}.parquet")
        for user, movie in pd.read_parquet(path)[["user_id", "movie_id"]].itertuples(index=False)
    }
    assert len(rated) == 8000
    assert rated.isdisjoint(table[["user_id", "movie_id"]].itertuples(index=False, name=None))
    assert score(model=run.run_id, users=["7"]).users == 1
    with pytest.raises(VocabularyError, match="unknown to the model"):
        score(users=["nobody"])
    assert tracking.load_model(settings).version == "1"
