import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from small_recommenders import MOVIES, USERS, K, recommender_with_history, scored, seen_pairs

from cfmodel.config import ScoringSettings
from cfmodel.errors import PublishError, VocabularyError
from cfmodel.recommending.recommender import Recommender
from cfmodel.recommending.score import UsersScored, score
from cfmodel.schema import RECOMMENDATIONS


@pytest.fixture
def recommender() -> Recommender:
    return recommender_with_history()


def test_the_lists_are_those_of_brute_force(recommender: Recommender, tmp_path: Path) -> None:
    table, seen = scored(recommender, tmp_path), set(seen_pairs())
    movies = torch.arange(MOVIES)
    expected = []
    for user in range(USERS):
        scores = recommender.model(torch.full_like(movies, user), movies).tolist()
        left = [movie for movie in range(MOVIES) if (user, movie) not in seen]
        best = sorted(left, key=lambda movie: -scores[movie])[:K]
        expected += [(f"u{user:02}", f"{movie:02}", scores[movie], rank) for rank, movie in enumerate(best, 1)]
    assert table[["user_id", "movie_id", "rank"]].values.tolist() == [[row[0], row[1], row[3]] for row in expected]
    np.testing.assert_allclose(table["score"], [row[2] for row in expected], rtol=1e-4, atol=1e-5)


def test_the_lists_are_split_into_files_that_read_as_one_table(recommender: Recommender, tmp_path: Path) -> None:
    table = scored(recommender, tmp_path)
    latest = tmp_path / "recommendations" / "latest"
    assert [path.name for path in sorted(latest.glob("*.parquet"))] == [
        f"part-0000{number}.parquet" for number in range(3)
    ]
    assert table.columns.tolist() == ["user_id", "movie_id", "score", "rank"]
    assert pq.read_schema(latest / "part-00000.parquet").equals(RECOMMENDATIONS)
    manifest = json.loads((latest / "_manifest.json").read_text())
    assert manifest["scores"]["rows"] == len(table)
    assert manifest["scores"]["coverage_fraction"] == table["movie_id"].nunique() / MOVIES


@pytest.mark.parametrize("changes", [{"memory_megabytes": 1}, {"users_per_file": 1}, {"users_per_file": 1000}])
def test_a_list_depends_on_neither_memory_nor_the_users_per_file(
    recommender: Recommender, tmp_path: Path, changes: dict[str, int]
) -> None:
    plain, changed = scored(recommender, tmp_path / "a"), scored(recommender, tmp_path / "b", **changes)
    pd.testing.assert_frame_equal(plain, changed)


def test_each_user_asked_for_is_scored_once(recommender: Recommender, tmp_path: Path) -> None:
    progress: list[UsersScored] = []
    settings = ScoringSettings(k=K)
    ref = score(
        recommender,
        settings,
        folder=tmp_path,
        model_name="model",
        users=["u05", "u03", "u05"],
        on_record=progress.append,
    )
    assert pd.read_parquet(ref.path)["user_id"].unique().tolist() == ["u03", "u05"]
    assert progress == [UsersScored(2, 1.0)]
    with pytest.raises(VocabularyError, match="1 of 2 users are unknown to the model, the first is 'zoe'"):
        score(recommender, settings, folder=tmp_path, model_name="model", users=["u05", "zoe"])


def test_latest_points_at_the_newer_scoring_and_the_older_stays_readable(
    recommender: Recommender, tmp_path: Path
) -> None:
    first = score(recommender, ScoringSettings(k=1), folder=tmp_path, model_name="model")
    second = score(recommender, ScoringSettings(k=2), folder=tmp_path, model_name="model")
    latest = tmp_path / "recommendations" / "latest"
    assert latest.resolve() == second.path
    assert str(latest.readlink()) == second.path.name  # relative: the folder may move
    assert first.path.is_dir()


def test_a_collapsed_model_is_not_published_and_latest_stays(recommender: Recommender, tmp_path: Path) -> None:
    before = score(recommender, ScoringSettings(k=K), folder=tmp_path, model_name="model")
    with torch.no_grad():
        recommender.model.user_embeddings.weight.zero_()
    with pytest.raises(PublishError, match=r"are in any list, below scoring\.min_coverage \(90\.00%\)"):
        score(recommender, ScoringSettings(k=K, min_coverage=0.9), folder=tmp_path, model_name="model")
    assert (tmp_path / "recommendations" / "latest").resolve() == before.path
    assert len(list((tmp_path / "recommendations").iterdir())) == 2


def test_a_model_with_a_nan_is_not_published(recommender: Recommender, tmp_path: Path) -> None:
    with torch.no_grad():
        recommender.model.movie_biases.weight[3] = torch.nan
    with pytest.raises(PublishError, match="not published"):
        score(recommender, ScoringSettings(k=K), folder=tmp_path, model_name="model")
