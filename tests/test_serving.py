"""The recorded model as MLflow loads and serves it."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient

from cfmodel import tracking
from cfmodel.column_statistics import RatingScale
from cfmodel.config import TrackingSettings
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.recommender import Recommender
from cfmodel.serving import _load_pyfunc
from cfmodel.tracking.store import mlflow

PAIRS = {"user_id": ["1", "2"], "movie_id": ["x", "10"]}


@pytest.fixture(scope="module")
def recorded(mlflow_store: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A recommender as MLflow loads it from what was recorded."""
    folder = tmp_path_factory.mktemp("served") / "model"
    seeded = torch.Generator().manual_seed(1)
    model = CollaborativeFiltering(2, 3, 4, scale=RatingScale(3.0), init_std=0.7, generator=seeded)
    Recommender(model, Vocabulary.of(["1", "2"]), Vocabulary.of(["10", "11", "x"]), 1.0, 5.0).save(folder)
    uri = tracking.log_model(tracking.start_run(TrackingSettings(uri=mlflow_store)), folder)
    found = MlflowClient(mlflow_store).get_logged_model(uri.removeprefix("models:/"))
    return mlflow().pyfunc.load_model(found.artifact_location)


Asked = Callable[[dict[str, Any]], httpx.Response]


@pytest.fixture(scope="module")
def ask(recorded: Any) -> Iterator[Asked]:
    """Send a request to MLflow's own scoring server on that model, in this process."""
    from mlflow.pyfunc import scoring_server

    transport = httpx.ASGITransport(scoring_server.init(recorded))

    async def post(body: dict[str, Any]) -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.post("/invocations", json=body)

    # In a thread of its own, since a browser's tests leave an event loop in this one.
    with ThreadPoolExecutor(1) as thread:
        yield lambda body: thread.submit(lambda: asyncio.run(post(body))).result()


def test_every_format_of_mlflow_is_answered_alike(ask: Asked, recorded: Any) -> None:
    rows = [dict(zip(PAIRS, row, strict=True)) for row in zip(*PAIRS.values(), strict=True)]
    split = {"columns": list(PAIRS), "data": [list(row.values()) for row in rows]}
    bodies = ({"inputs": PAIRS}, {"inputs": rows}, {"instances": rows}, {"dataframe_records": rows})
    answers = [ask(body) for body in (*bodies, {"dataframe_split": split})]
    assert [answer.status_code for answer in answers] == [200] * 5
    (first, *others) = [answer.json()["predictions"] for answer in answers]
    assert len(first) == 2
    assert all(other == first for other in others)
    assert recorded.predict(PAIRS).astype({"prediction": float}).to_dict("records") == first


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"inputs": {"user_id": ["1", "2"], "movie_id": ["x"]}}, "differ in length (user_id 2, movie_id 1)"),
        ({"inputs": {"rated": [{"x": 99}]}}, "rating 99 of movie x is not within 1 to 5"),
        ({"inputs": {"user_id": ["1"]}, "params": {"k": 0}}, "k must be from 1 to 1,000 movies, not 0"),
        ({"dataframe_records": [{"user_id": {"a": 1}, "movie_id": "x"}]}, "ids must be text or integers"),
    ],
)
def test_what_is_refused_reaches_the_caller_in_our_words(
    ask: Asked, recorded: Any, body: dict[str, Any], words: str
) -> None:
    answer = ask(body)
    assert answer.status_code == 400
    assert answer.json()["error_code"] == "INVALID_PARAMETER_VALUE"
    assert words in answer.json()["message"]
    assert "stack_trace" not in answer.json()
    asked = body.get("inputs") or pd.DataFrame(body["dataframe_records"])
    with pytest.raises(mlflow().exceptions.MlflowException, match=re.escape(words)):
        recorded.predict(asked, params=body.get("params"))


def test_a_process_without_the_checkout_gives_the_same_answers(tmp_path: Path, root: Path) -> None:
    folder = tmp_path / "model"
    model = CollaborativeFiltering(
        2, 3, 4, scale=RatingScale(3.0), init_std=0.7, generator=torch.Generator().manual_seed(1)
    )
    Recommender(model, Vocabulary.of(["1", "2"]), Vocabulary.of(["10", "11", "x"]), 1.0, 5.0).save(folder)
    table = pd.DataFrame({"user_id": ["1", "2", "who"], "movie_id": ["x", "what", "10"]})
    code = f"""
import json, sys
for name in ("flows", "tasks", "prefect", "mlflow"):
    sys.modules[name] = None  # importing it raises
import pandas as pd
from cfmodel.serving import _load_pyfunc
table = pd.DataFrame({table.to_dict("list")!r})
print(json.dumps(_load_pyfunc({str(folder)!r}).predict(table).values.tolist()))
"""
    fresh = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(fresh.stdout) == _load_pyfunc(str(folder)).predict(table).values.tolist()
