"""A model recorded in a real MLflow store, and loaded the way a user of MLflow does."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient

from cfmodel import tracking
from cfmodel.column_statistics import RatingScale
from cfmodel.config import TrackingSettings
from cfmodel.errors import TrackingError
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.recommender import Recommender
from cfmodel.tracking import Run

ASK = """
import json, sys
for name in ("flows", "tasks", "prefect"):
    sys.modules[name] = None
import mlflow
import pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
print(json.dumps([float(value) for value in model.predict(pd.DataFrame(json.loads(sys.argv[3])))["prediction"]]))
assert "torch._dynamo" not in sys.modules  # torch's compiler, which takes longer to import than all of this
"""


@pytest.fixture(scope="module")
def recorded(mlflow_store: str, recommender: Recommender, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, str]:
    """Return a run and the address of the model recorded in it."""
    run = tracking.start_run(TrackingSettings(uri=mlflow_store))
    folder = tmp_path_factory.mktemp("saved") / "recommender"
    recommender.save(folder)
    return run, tracking.log_model(run, folder)


@pytest.fixture
def model(mlflow_store: str, recorded: tuple[Run, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load the recorded model the way a user of MLflow does."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    return mlflow.pyfunc.load_model(recorded[1])


def test_the_recorded_model_gives_the_same_answers_in_a_new_process_without_pickle(
    mlflow_store: str, recorded: tuple[Run, str], recommender: Recommender, tmp_path: Path
) -> None:
    pairs = {"user_id": ["007", "ann", "7"], "movie_id": ["1", "4", "2"]}
    answers = _ask_in_a_fresh_process(mlflow_store, recorded[1], pairs, tmp_path)
    np.testing.assert_allclose(answers, recommender.predict(**_plural(pairs)), atol=1e-6)


def test_the_recorded_model_is_found_by_its_run(
    mlflow_store: str, recorded: tuple[Run, str], model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    by_run = mlflow.pyfunc.load_model(f"runs:/{recorded[0].run_id}/recommender")
    example = model.input_example
    np.testing.assert_array_equal(by_run.predict(example), model.predict(example))


def test_the_recorded_model_holds_no_code_and_no_pickle(client: MlflowClient, recorded: tuple[Run, str]) -> None:
    location = client.get_logged_model(recorded[1].removeprefix("models:/")).artifact_location
    folder = Path(location.removeprefix("file://"))
    suffixes = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert suffixes <= {"", ".json", ".yaml", ".txt", ".parquet", ".safetensors"}
    pins = (folder / "requirements.txt").read_text().split()
    assert {pin.partition("==")[0] for pin in pins} >= {"cfmodel", "torch", "mlflow", "pyarrow", "safetensors"}
    assert all("==" in pin and "+" not in pin for pin in pins)


def test_an_integer_id_means_its_decimal_text(model: Any, recommender: Recommender) -> None:
    answer = model.predict(pd.DataFrame({"user_id": [7, 7], "movie_id": [1, 2]}))
    np.testing.assert_allclose(answer["prediction"], recommender.predict(["7", "7"], ["1", "2"]), atol=1e-6)


def test_unknown_ids_get_the_fallback_and_a_warning_where_all_are_unknown(model: Any, recommender: Recommender) -> None:
    some = model.predict(pd.DataFrame({"user_id": ["ann", "zoe"], "movie_id": ["1", "1"]}))
    np.testing.assert_allclose(some["prediction"][1], 3.5 + _bias(recommender, "1"), atol=1e-6)
    with pytest.warns(UserWarning, match="none of the 1 ids in (user|movie)_id is known"):
        model.predict(pd.DataFrame({"user_id": ["zoe"], "movie_id": ["nowhere"]}))


def test_a_request_without_movies_is_answered_with_recommendations(model: Any, recommender: Recommender) -> None:
    answer = model.predict(pd.DataFrame({"user_id": ["ann"]}), params={"k": 2})
    assert answer["rank"].tolist() == [1, 2]
    assert len(model.predict(pd.DataFrame({"user_id": ["ann"]}))) == len(recommender.movies)  # fewer than 10


def test_a_recorded_model_with_other_answers_is_marked_failed(
    client: MlflowClient, mlflow_store: str, recommender: Recommender, tmp_path: Path
) -> None:
    run = tracking.start_run(TrackingSettings(uri=mlflow_store))
    recommender.save(tmp_path / "saved")
    uri = tracking.log_model(run, tmp_path / "saved")
    tracking.check_model(run, uri, recommender)
    other = CollaborativeFiltering(3, 4, 8, scale=RatingScale(2.0))
    with pytest.raises(TrackingError, match="do not use it"):
        tracking.check_model(run, uri, replace(recommender, model=other))
    assert client.get_logged_model(uri.removeprefix("models:/")).status == "FAILED"


def test_other_answers_are_seen_on_any_scale_of_ratings(
    mlflow_store: str, recommender: Recommender, tmp_path: Path
) -> None:
    def with_bias(added: float) -> Recommender:
        model = CollaborativeFiltering(3, 4, 8, scale=RatingScale(0.0, 1e-3), init_std=0.0)
        with torch.no_grad():
            model.user_biases.weight.add_(added)
        return replace(recommender, model=model, rating_min=-1.0, rating_max=1.0)

    run = tracking.start_run(TrackingSettings(uri=mlflow_store))
    with_bias(0.0).save(tmp_path / "saved")
    uri = tracking.log_model(run, tmp_path / "saved")
    tracking.check_model(run, uri, with_bias(0.0))
    with pytest.raises(TrackingError, match="do not use it"):
        tracking.check_model(run, uri, with_bias(0.001))  # a thousandth of a standard deviation


def _ask_in_a_fresh_process(uri: str, model: str, pairs: dict[str, list[str]], folder: Path) -> list[float]:
    environment = {**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    command = [sys.executable, "-W", "default", "-c", ASK, uri, model, json.dumps(pairs)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    answers: list[float] = json.loads(done.stdout)
    return answers


def _plural(pairs: dict[str, list[str]]) -> dict[str, list[str]]:
    return {"user_ids": pairs["user_id"], "movie_ids": pairs["movie_id"]}


def _bias(recommender: Recommender, movie_id: str) -> float:
    return float(recommender.model.movie_biases.weight.detach()[recommender.movies.row_of(movie_id), 0])
