"""What a worker does once there is a champion: recommend with it."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from sites import BIN, MODEL, Site, begun

from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.recommending.recommender import Recommender

Awaited = Callable[..., FlowRun]


@pytest.fixture(scope="module")
def champion(worker: Site, run_ids: list[str]) -> Recommender:
    """The model in the registry."""
    uri = f"sqlite:///{worker.folder}/mlflow.db"
    assert tracking.version_of(uri, MODEL, tracking.CHAMPION).run_id == run_ids[0]
    settings = PipelineSettings.of(overrides={"tracking.uri": uri, "promotion.model_name": MODEL})
    return tracking.load_model(settings).recommender


@pytest.fixture(scope="module")
def scored(client: SyncPrefectClient, awaited: Awaited, champion: Recommender) -> FlowRun:
    run = begun(client, "scoring/cpu", overrides={"promotion.model_name": MODEL, "scoring.k": 4})
    return awaited(lambda: client.read_flow_run(run.id))


@pytest.fixture(scope="module")
def lists(worker: Site, scored: FlowRun) -> pd.DataFrame:
    assert scored.state_name == "Completed", worker.worker_log.read_text()
    return pd.read_parquet(worker.folder / "data" / "recommendations" / "latest")


def _exact(recommender: Recommender, seen: set[tuple[str, str]], *, k: int) -> list[tuple[str, str, int]]:
    """Score every movie for every user, one user at a time, and sort."""
    users, movies = recommender.users.ids.to_pylist(), recommender.movies.ids.to_pylist()
    every = torch.arange(len(movies))
    rows = []
    for number, user in enumerate(users):
        scores = recommender.model.score(torch.full_like(every, number), every).tolist()
        left = [place for place in range(len(movies)) if (user, movies[place]) not in seen]
        best = sorted(left, key=lambda place: -scores[place])[:k]
        rows += [(user, movies[place], rank) for rank, place in enumerate(best, 1)]
    return rows


def test_the_worker_recommends_by_the_champion_exactly(
    worker: Site, lists: pd.DataFrame, champion: Recommender, run_ids: list[str]
) -> None:
    (data,) = {data.dataset.source for data in worker.store.get_run(run_ids[0]).inputs.dataset_inputs if _is_test(data)}
    split = Path(json.loads(data)["uri"].removeprefix("file://")).parent
    parts = pd.concat([pd.read_parquet(split / f"{part}.parquet") for part in ("train", "val", "test")])
    seen = set(zip(parts["user_id"], parts["movie_id"], strict=True))
    expected = _exact(champion, seen, k=4)
    assert len(expected) == 4 * 200
    assert list(lists[["user_id", "movie_id", "rank"]].itertuples(index=False, name=None)) == expected


def _is_test(data: object) -> bool:
    return any(tag.value == "test" for tag in data.tags)  # type: ignore[attr-defined]


@pytest.mark.parametrize("user", ["1", "17", "200"])
def test_a_list_is_the_one_the_command_prints_for_that_user(worker: Site, lists: pd.DataFrame, user: str) -> None:
    chosen = ["--set", f"promotion.model_name={MODEL}", "--set", "scoring.k=4"]
    said = worker.run(str(BIN / "cfmodel"), "recommend", "--user", user, *chosen)
    assert said.returncode == 0, said.stderr
    assert f"by {MODEL} version 1 (champion):" in said.stdout
    shown = re.findall(r"^ *(\d+) +(\S+) +(\d\.\d\d) *$", said.stdout, re.MULTILINE)
    mine = lists[lists["user_id"] == user]
    assert [(int(rank), movie) for rank, movie, _ in shown] == list(zip(mine["rank"], mine["movie_id"], strict=True))
    for (_, _, rating), score in zip(shown, mine["score"], strict=True):
        assert float(rating) == pytest.approx(min(score, 5.0), abs=0.00501)
