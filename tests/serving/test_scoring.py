"""Recommendations for everybody, as files, held against what they must be."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from cfmodel.config import ScoringSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.errors import PublishError, VocabularyError
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.check_lists import check
from cfmodel.recommending.publish_lists import publish
from cfmodel.recommending.rated import History
from cfmodel.recommending.recommender import Recommender
from cfmodel.recommending.score import UsersScored, score
from cfmodel.schema import RECOMMENDATIONS

USERS, MOVIES, K = 23, 40, 5


def arrays(pairs: list[tuple[int, int]]) -> RatingArrays:
    user, movie = (np.array([pair[side] for pair in pairs], np.int32) for side in (0, 1))
    return RatingArrays(user, movie, np.ones(len(pairs), np.float32))


@pytest.fixture
def seen() -> set[tuple[int, int]]:
    """User 0 has seen all but three movies, user 1 all, the others some."""
    rng = np.random.default_rng(0)
    some = {(user, int(movie)) for user in range(2, USERS) for movie in rng.permutation(MOVIES)[: user % 7]}
    return some | {(0, movie) for movie in range(MOVIES - 3)} | {(1, movie) for movie in range(MOVIES)}


@pytest.fixture
def recommender(seen: set[tuple[int, int]]) -> Recommender:
    generator = torch.Generator().manual_seed(0)
    model = CollaborativeFiltering(USERS, MOVIES, 4, global_mean=3.0, init_std=1.0, generator=generator)
    with torch.no_grad():
        model.movie_biases.weight.normal_(generator=generator)
        model.user_biases.weight.normal_(generator=generator)
    pairs = sorted(seen)
    history = History.of([arrays(pairs[::2])], [arrays(pairs[1::2])], num_users=USERS)
    ids = Vocabulary.of([f"u{number:02}" for number in range(USERS)]), Vocabulary.of([f"{n:02}" for n in range(MOVIES)])
    return Recommender(model, *ids, 1.0, 5.0, history)


def scored(recommender: Recommender, folder: Path, **settings: object) -> pd.DataFrame:
    few = {"k": K, "users_per_file": 10} | settings
    score(recommender, ScoringSettings(**few), folder=folder, model_name="model")  # type: ignore[arg-type]
    return pd.read_parquet(folder / "recommendations" / "latest")


def test_the_lists_are_those_of_brute_force(
    recommender: Recommender, seen: set[tuple[int, int]], tmp_path: Path
) -> None:
    table = scored(recommender, tmp_path)
    movies = torch.arange(MOVIES)
    expected = []
    for user in range(USERS):
        scores = recommender.model.score(torch.full_like(movies, user), movies).tolist()
        left = [movie for movie in range(MOVIES) if (user, movie) not in seen]
        best = sorted(left, key=lambda movie: -scores[movie])[:K]
        expected += [(f"u{user:02}", f"{movie:02}", scores[movie], rank) for rank, movie in enumerate(best, 1)]
    assert table[["user_id", "movie_id", "rank"]].values.tolist() == [[row[0], row[1], row[3]] for row in expected]
    np.testing.assert_allclose(table["score"], [row[2] for row in expected], rtol=1e-4, atol=1e-5)


def test_it_is_partitioned_and_the_folder_reads_as_one_table_of_four_columns(
    recommender: Recommender, tmp_path: Path
) -> None:
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
def test_neither_memory_nor_files_change_a_list(
    recommender: Recommender, tmp_path: Path, changes: dict[str, int]
) -> None:
    plain, changed = scored(recommender, tmp_path / "a"), scored(recommender, tmp_path / "b", **changes)
    pd.testing.assert_frame_equal(plain, changed)


def test_some_users_alone_are_scored_each_once(recommender: Recommender, tmp_path: Path) -> None:
    told: list[UsersScored] = []
    settings = ScoringSettings(k=K)
    ref = score(
        recommender,
        settings,
        folder=tmp_path,
        model_name="model",
        users=["u05", "u03", "u05"],
        on_record=told.append,
    )
    assert pd.read_parquet(ref.path)["user_id"].unique().tolist() == ["u03", "u05"]
    assert told == [UsersScored(2, 1.0)]
    with pytest.raises(VocabularyError, match="1 of 2 users are unknown to the model, the first of them 'zoe'"):
        score(recommender, settings, folder=tmp_path, model_name="model", users=["u05", "zoe"])


def test_a_newer_scoring_takes_the_place_of_the_older_which_stays_readable(
    recommender: Recommender, tmp_path: Path
) -> None:
    first = score(recommender, ScoringSettings(k=1), folder=tmp_path, model_name="model")
    second = score(recommender, ScoringSettings(k=2), folder=tmp_path, model_name="model")
    latest = tmp_path / "recommendations" / "latest"
    assert latest.resolve() == second.path
    assert str(latest.readlink()) == second.path.name  # relative: the folder may move
    assert first.path.is_dir()


def test_a_collapsed_model_is_not_published_and_what_was_stays(recommender: Recommender, tmp_path: Path) -> None:
    before = score(recommender, ScoringSettings(k=K), folder=tmp_path, model_name="model")
    with torch.no_grad():
        recommender.model.user_embeddings.weight.zero_()
    with pytest.raises(PublishError, match=r"are in anybody's list, less than scoring\.min_coverage \(90\.00%\)"):
        score(recommender, ScoringSettings(k=K, min_coverage=0.9), folder=tmp_path, model_name="model")
    assert (tmp_path / "recommendations" / "latest").resolve() == before.path
    assert len(list((tmp_path / "recommendations").iterdir())) == 2


def test_a_model_that_is_not_finite_is_not_published(recommender: Recommender, tmp_path: Path) -> None:
    with torch.no_grad():
        recommender.model.movie_biases.weight[3] = torch.nan
    with pytest.raises(PublishError, match="not published"):
        score(recommender, ScoringSettings(k=K), folder=tmp_path, model_name="model")


def test_latest_is_not_taken_from_somebody_else(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    (tmp_path / "new").mkdir()
    with pytest.raises(PublishError, match="is no link of ours"):
        publish(tmp_path / "new")


Tamper = Callable[[pd.DataFrame], pd.DataFrame]


def _swapped_ranks(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(rank=table["rank"].replace({1: 2, 2: 1}))


def _with_a_movie_twice(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[1, "movie_id"] = table.loc[0, "movie_id"]
    return table


def _with_a_seen_movie(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[0, "movie_id"] = "00"  # user 0 has seen it
    return table


def _with_rising_scores(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(score=-table["score"])


def _with_a_strange_movie(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[0, "movie_id"] = "strange"
    return table


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (_swapped_ranks, "ranks that do not rise"),
        (_with_a_movie_twice, "holds a movie twice"),
        (_with_a_seen_movie, "holds a movie the user has seen"),
        (_with_rising_scores, "is not ordered by score"),
        (_with_a_strange_movie, "an id the model does not know"),
        (lambda table: table[table["user_id"] != "u05"], "is missing"),
        (lambda table: table[(table["user_id"] != "u05") | (table["rank"] < K)], f"has not {K} movies"),
        (lambda table: table[table["user_id"] < "u20"], "is missing"),
    ],
)
def test_lists_that_are_wrong_in_any_way_are_refused(
    recommender: Recommender, tmp_path: Path, tamper: Tamper, said: str
) -> None:
    settings = ScoringSettings(k=K)
    table = scored(recommender, tmp_path / "scored")
    everybody = np.arange(USERS)  # user 1 has seen every movie, and has no list for that
    (tmp_path / "again").mkdir()

    def checked(written: pd.DataFrame) -> int:
        rows = pa.Table.from_pandas(written, schema=RECOMMENDATIONS, preserve_index=False)
        pq.write_table(rows, tmp_path / "again" / "part-00000.parquet")
        return check(tmp_path / "again", recommender, everybody, settings, complete=True).rows

    assert checked(table) == len(table)
    with pytest.raises(PublishError, match=said):
        checked(tamper(table))
