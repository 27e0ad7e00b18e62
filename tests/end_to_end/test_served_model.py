"""The champion served by `mlflow models serve`, over HTTP."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests
from mlflow_servers import free_port, serving
from teams import Team

from cfmodel import tracking
from cfmodel.recommending.mlflow_pyfunc import RecommenderService
from cfmodel.recommending.recommender import Recommender

#: Seconds after which an answer is given up.
WAIT = 240
#: MLflow starts its server by name: it is found where this Python is.
ON_PATH = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@dataclass(frozen=True)
class Served:
    """A served model, and the same model in this process."""

    url: str
    recommender: Recommender

    def ask(self, **columns: Any) -> Any:
        """Send a request in the format that MLflow documents; return the predictions."""
        params = columns.pop("params", None)
        records = pd.DataFrame(columns).to_dict("records")
        body = {"dataframe_records": records} | ({"params": params} if params else {})
        answer = requests.post(f"{self.url}/invocations", json=body, timeout=WAIT)
        answer.raise_for_status()
        return answer.json()["predictions"]


@pytest.fixture(scope="module")
def served(mlflow_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("promotion")
    team = Team.new(mlflow_store, folder)
    version = team.challenger(epochs=6)
    assert tracking.promote(team.settings).is_promotion
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "--host", "127.0.0.1"]
    with serving(
        [*command, "--port", str(port), "--model-uri", f"models:/{team.name}@champion"],
        f"{address}/ping",
        folder=tmp_path_factory.mktemp("serving"),
        environment=ON_PATH | {"MLFLOW_TRACKING_URI": mlflow_store, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
    ):
        yield Served(address, Recommender.load(folder / "models" / version.run_id))


def test_ratings_over_http_are_those_in_process(served: Served) -> None:
    users = [*served.recommender.users.ids.to_pylist()[:3], "unheard-of"]
    movies = [*served.recommender.movies.ids.to_pylist()[4:7], "unheard-of"]
    answers = [each["prediction"] for each in served.ask(user_id=users, movie_id=movies)]
    np.testing.assert_allclose(answers, served.recommender.predict(users, movies), rtol=1e-6)


def test_an_integer_id_is_its_decimal_text(served: Served) -> None:
    text, number = (served.ask(user_id=[id], movie_id=[id]) for id in ("3", 3))
    assert text == number


def test_recommendations_over_http_are_those_in_process(served: Served) -> None:
    users = [*served.recommender.users.ids.to_pylist()[:2], "unheard-of"]
    lists = pd.DataFrame(served.ask(user_id=users, params={"k": 4}))
    expected = RecommenderService(served.recommender).predict(pd.DataFrame({"user_id": users}), params={"k": 4})
    assert isinstance(expected, pd.DataFrame)
    pd.testing.assert_frame_equal(lists, expected, check_dtype=False, rtol=1e-5)
    assert lists["user_id"].value_counts().to_dict() == dict.fromkeys(users, 4)


def test_a_new_user_gets_recommendations_from_a_few_ratings(served: Served) -> None:
    rated = {"3": 5.0, "7": 1.0}
    lists = pd.DataFrame(served.ask(rated=[rated], params={"k": 5}))
    expected = RecommenderService(served.recommender).predict(pd.DataFrame({"rated": [rated]}), params={"k": 5})
    assert isinstance(expected, pd.DataFrame)
    assert lists["movie_id"].tolist() == expected["movie_id"].tolist()
    assert {"3", "7"}.isdisjoint(lists["movie_id"])


def test_a_request_that_cannot_be_answered_says_why(served: Served) -> None:
    answer = requests.post(f"{served.url}/invocations", json={"dataframe_records": [{"rated": "3=5"}]}, timeout=WAIT)
    assert answer.status_code == 400
    assert "rated must map movie ids to ratings" in answer.text


def _documented(root: Path) -> list[str]:
    """Return the `curl` commands for a served model in the documentation, each as one line."""
    texts = [(root / name).read_text(encoding="utf-8") for name in ("README.md", "docs/serving.md")]
    found = [command for text in texts for command in re.findall(r"^curl (?:.*\\\n)*.*", text, re.MULTILINE)]
    return [command.replace("\\\n", " ") for command in found if "/invocations" in command]


def test_the_documented_curl_commands_are_answered(served: Served, root: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: the documented commands cannot be run")
    commands = _documented(root)
    assert len(commands) >= 3
    for command in commands:
        said = shlex.split(re.sub(r"(http://)?127\.0\.0\.1:\d+", served.url, command))
        done = subprocess.run([*said, "--silent", "--show-error"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["predictions"], done.stdout
