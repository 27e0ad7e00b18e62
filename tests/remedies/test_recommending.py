"""Remedies of refusals about models, lists and requests, followed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from following import refused
from refusals import remedy_of
from small_recommenders import recommender_with_history, scored

from cfmodel.column_statistics import RatingScale
from cfmodel.config import ScoringSettings
from cfmodel.data.vocabulary import Vocabulary
from cfmodel.errors import PublishError
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.check_lists import check_lists
from cfmodel.recommending.mlflow_pyfunc import RecommenderService
from cfmodel.recommending.publish_lists import publish_lists
from cfmodel.recommending.recommender import Recommender
from cfmodel.recommending.saved_files import MANIFEST, read_manifest
from cfmodel.recommending.score import score
from cfmodel.recommending.suggest import ratings_by_id
from cfmodel.recommending.top_k import popularity_scores, top_k


@pytest.fixture
def service(trained: Recommender) -> RecommenderService:
    return RecommenderService(trained)


@remedy_of("cfmodel/recommending/mlflow_pyfunc.py", "the request has no column")
@remedy_of("cfmodel/recommending/mlflow_pyfunc.py", "the lists of the request differ in length")
@remedy_of("cfmodel/recommending/mlflow_pyfunc.py", "k must be from 1 to")
@remedy_of("cfmodel/recommending/mlflow_pyfunc.py", "must map movie ids to ratings")
@remedy_of("cfmodel/recommending/suggest.py", "the ratings that the model learned from")
@pytest.mark.parametrize(
    ("words", "asked", "instead"),
    [
        ("give user_id and movie_id for ratings", {"movie_id": ["1"]}, {"movie_id": ["1"], "user_id": ["1"]}),
        ("user_id alone for recommendations", {"movie_id": ["1"]}, {"user_id": ["1"]}),
        (
            "differ in length (user_id 2, movie_id 1); give as many of each",
            {"user_id": [["1", "2"]], "movie_id": [["1"]]},
            {"user_id": [["1", "2"]], "movie_id": [["1", "1"]]},
        ),
        ('must map movie ids to ratings, as {"42": 5', {"rated": ["1=3"]}, {"rated": [{"42": 5, "17": 2.5}]}),
        ("; give one that is", {"rated": [{"1": 99}]}, {"rated": [{"1": 3}]}),
    ],
)
def test_a_request_as_the_refusal_asks_for_it(
    service: RecommenderService, words: str, asked: dict[str, Any], instead: dict[str, Any]
) -> None:
    with refused(words):
        service.predict(pd.DataFrame(asked))
    assert len(service.predict(pd.DataFrame(instead)))
    with refused("k must be from 1 to 1,000 movies, not 0"):
        service.predict(pd.DataFrame({"user_id": ["1"]}), params={"k": 0})
    assert len(service.predict(pd.DataFrame({"user_id": ["1"]}), params={"k": 1})) == 1


@remedy_of("cfmodel/recommending/suggest.py", "rated movies is known to the model")
def test_a_movie_that_the_model_was_trained_on(trained: Recommender) -> None:
    with refused("whose ids look like '1'", "give ratings of movies it was trained on"):
        ratings_by_id(trained, {"tt001": 3.0})
    assert len(ratings_by_id(trained, {"1": 3.0}))


@remedy_of("cfmodel/recommending/top_k.py", "top-k lists need k of at least 1")
def test_a_list_of_one() -> None:
    scores = popularity_scores(np.array([3, 1]))
    with refused("need k of at least 1, not k = 0"):
        top_k(scores, np.array([0]), k=0, num_movies=2)
    assert top_k(scores, np.array([0]), k=1, num_movies=2).movie_idx.tolist() == [[0]]


@remedy_of("cfmodel/recommending/score.py", "users are unknown to the model")
def test_unknown_users_are_left_out_and_asked_of_the_served_model(trained: Recommender, tmp_path: Path) -> None:
    settings, known = ScoringSettings(k=2), trained.users.ids[0].as_py()
    with refused("1 of 2 users are unknown", "'zoe'; leave them out, and ask the served model for new users"):
        score(trained, settings, folder=tmp_path, model_name="m", users=[known, "zoe"])
    assert score(trained, settings, folder=tmp_path, model_name="m", users=[known]).rows == 2
    assert len(RecommenderService(trained).predict(pd.DataFrame({"user_id": ["zoe"]}), params={"k": 2})) == 2


@remedy_of("cfmodel/recommending/check_lists.py", "below scoring.min_coverage")
def test_a_lower_coverage_is_published(trained: Recommender, tmp_path: Path) -> None:
    same = replace(trained, history=None)
    with refused("below scoring.min_coverage (100.00%)", "or lower the setting"):
        score(same, ScoringSettings(k=1, min_coverage=1.0), folder=tmp_path, model_name="m")
    score(same, ScoringSettings(k=1, min_coverage=0.0), folder=tmp_path, model_name="m")


@remedy_of("cfmodel/recommending/check_lists.py", "check the report of the model, then score again")
def test_lists_scored_again_are_published(tmp_path: Path) -> None:
    recommender, settings = recommender_with_history(), ScoringSettings(k=5)
    lists = scored(recommender, tmp_path)
    folder = tmp_path / "recommendations" / "latest"
    part = sorted(folder.glob("part-*"))[0]
    rows = pd.read_parquet(part)
    rows.iloc[1:].to_parquet(part)
    users = np.arange(len(recommender.users))
    with pytest.raises(PublishError, match=r"the lists published before stay; .* then score again"):
        check_lists(folder, recommender, users, settings, complete=True)
    assert len(scored(recommender, tmp_path)) == len(lists)


@remedy_of("cfmodel/recommending/publish_lists.py", "exists and is not a symbolic link")
@remedy_of("cfmodel/recommending/publish_lists.py", "cannot be set ({})")
def test_a_latest_that_is_moved_away_and_lists_read_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "latest").mkdir()
    with refused("latest: exists and is not a symbolic link; move it away and score again"):
        publish_lists(tmp_path / "new")
    (tmp_path / "latest").rename(tmp_path / "away")
    assert publish_lists(tmp_path / "new").is_symlink()

    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", no_links)
    with refused(f"the lists are in {tmp_path / 'new'}; read them from there"):
        publish_lists(tmp_path / "new")
    assert (tmp_path / "new").is_dir()


@remedy_of("cfmodel/recommending/recommender.py", "expected one movie per user")
def test_as_many_movies_as_users(trained: Recommender) -> None:
    with refused("got 2 users and 1 movies; give as many movies as users"):
        trained.predict(["1", "2"], ["1"])
    assert len(trained.predict(["1", "2"], ["1", "1"])) == 2


@remedy_of("cfmodel/recommending/recommender.py", "exists and is not a saved recommender")
def test_a_folder_that_is_emptied_takes_a_model(trained: Recommender, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "note.txt").touch()
    with refused("choose another folder, or empty it"):
        trained.save(tmp_path / "x")
    trained.save(tmp_path / "y")
    (tmp_path / "x" / "note.txt").unlink()
    trained.save(tmp_path / "x")


def _cut(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:-1])


def _sized(folder: Path, name: str) -> None:
    """Take a vocabulary with an id less, and its digest into the manifest."""
    from hashlib import sha256

    Vocabulary.of([str(number) for number in range(5)]).write(folder / name)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["sha256"][name] = sha256((folder / name).read_bytes()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest))


@remedy_of("cfmodel/recommending/recommender.py", "cannot be read as a recommender")
@remedy_of("cfmodel/recommending/recommender.py", "the weights hold {} users and {} movies")
@remedy_of("cfmodel/recommending/saved_files.py", "{}: is damaged; save the recommender again")
@remedy_of("cfmodel/recommending/saved_files.py", "is changed or damaged, not the file")
@remedy_of("cfmodel/recommending/saved_files.py", "{}: cannot be read ({}); save the recommender again")
@pytest.mark.parametrize("damage", ["manifest", "weights", "missing", "sizes", "no range"])
def test_a_model_that_is_saved_again_loads(trained: Recommender, saved: Path, damage: str) -> None:
    if damage == "manifest":
        (saved / MANIFEST).write_text("{")
    elif damage == "missing":
        (saved / "users.parquet").unlink()
    elif damage == "sizes":
        _sized(saved, "users.parquet")
    elif damage == "no range":
        manifest = json.loads((saved / MANIFEST).read_text())
        (saved / MANIFEST).write_text(json.dumps({**manifest, "rating_min": None}))
    else:
        _cut(saved, "weights.safetensors")
    with refused("ave", " again"):
        Recommender.load(saved)
    trained.save(saved)
    assert len(Recommender.load(saved).users) == len(trained.users)


@remedy_of("cfmodel/recommending/saved_files.py", "does not have the expected digest")
def test_a_model_that_is_saved_again_has_its_digest(trained: Recommender, saved: Path) -> None:
    with refused("save the recommender again"):
        Recommender.load(saved, digest="0" * 64)
    Recommender.load(saved, digest=trained.save(saved))


@remedy_of("cfmodel/recommending/saved_files.py", "upgrade cfmodel to")
def test_a_newer_format_is_read_by_its_version_alone(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = json.loads((saved / MANIFEST).read_text())
    (saved / MANIFEST).write_text(json.dumps({**manifest, "format_version": 99, "cfmodel_version": "9.9.0"}))
    with refused("has format version 99", "upgrade cfmodel to 9.9.0 or later"):
        Recommender.load(saved)
    monkeypatch.setattr("cfmodel.recommending.saved_files.FORMAT_VERSION", 99)  # as that version has it
    assert read_manifest(saved)["format_version"] == 99


class _Plain(CollaborativeFiltering):
    TABLES = CollaborativeFiltering.TABLES[:2]
    TERMS = CollaborativeFiltering.TERMS[:1]


@remedy_of("cfmodel/recommending/saved_files.py", "load it as the class of model that was saved")
def test_a_model_is_loaded_as_the_class_that_was_saved(saved: Path) -> None:
    with refused("load it as the class of model that was saved"):
        Recommender.load(saved, model=_Plain)
    Recommender.load(saved, model=CollaborativeFiltering)


def test_scores_beyond_the_range_rank_by_what_the_model_predicts(tmp_path: Path) -> None:
    """Of movies whose predictions are all clamped to the highest rating, the best comes first, everywhere."""
    model = CollaborativeFiltering(2, 6, 1, scale=RatingScale(3.0), init_std=0.0)
    with torch.no_grad():
        model.movie_biases.weight[:, 0] = torch.tensor([10.0, 30.0, 20.0, 60.0, 50.0, 40.0])
    made = Recommender(model, Vocabulary.of(["a", "b"]), Vocabulary.of(list("uvwxyz")), 1.0, 5.0)
    assert set(made.predict(["a"] * 6, list("uvwxyz"))) == {5.0}
    served = RecommenderService(made).predict(pd.DataFrame({"user_id": ["a", "who"]}), params={"k": 6})
    for user in ("a", "who"):
        assert "".join(served[served["user_id"] == user]["movie_id"]) == "xyzvwu"
    new = RecommenderService(made).predict(pd.DataFrame({"rated": [{"u": 5}]}), params={"k": 5})
    assert "".join(new["movie_id"]) == "xyzvw"
    score(made, ScoringSettings(k=6), folder=tmp_path, model_name="m")
    lists = pd.read_parquet(tmp_path / "recommendations" / "latest")
    assert "".join(lists[lists["user_id"] == "b"]["movie_id"]) == "xyzvwu"
