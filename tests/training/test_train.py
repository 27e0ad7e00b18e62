"""Training of a recommender on a split."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cfmodel.config import IngestSettings, SplitSettings, TrainSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.parts import concatenate, load_part, load_vocabularies
from cfmodel.data.splitting.split import split
from cfmodel.gradients.health.judge import judge_health
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.report.run_report import gradient_report
from cfmodel.refs import SplitRef
from cfmodel.training.epoch_records import EpochRecord, StartRecord
from cfmodel.training.explain import explain
from cfmodel.training.fit import fit
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.train import train

CPU = torch.device("cpu")
SETTINGS = TrainSettings(epochs=6)


@pytest.fixture(scope="module")
def small_split(tmp_path_factory: pytest.TempPathFactory) -> SplitRef:
    folder = tmp_path_factory.mktemp("data")
    data = ingest("synthetic:users=150,movies=80,ratings=4000,factors=2", IngestSettings(), folder=folder)
    return split(data, SplitSettings(), folder=folder)


@pytest.fixture
def split_with_newcomers(tmp_path: Path) -> SplitRef:
    """A split whose val holds users and movies that train does not."""
    ratings = tmp_path / "ratings.csv"
    rows = [f"{user},{movie},{1 + (user + movie) % 5},{user}" for user in range(30) for movie in range(user, user + 4)]
    ratings.write_text("\n".join(["user_id,movie_id,rating,timestamp", *rows]))
    data = ingest(str(ratings), IngestSettings(), folder=tmp_path)
    return split(data, SplitSettings(strategy="temporal", test_fraction=0.2, val_fraction=0.3), folder=tmp_path)


def test_a_recommender_has_the_vocabularies_of_its_split(small_split: SplitRef) -> None:
    result = train(small_split, SETTINGS.model_copy(update={"refit": False}), device=CPU)
    assert len(result.recommender.users) == small_split.users
    assert len(result.recommender.movies) == small_split.movies
    assert (result.recommender.rating_min, result.recommender.rating_max) == pytest.approx(
        (small_split.rating_min, small_split.rating_max)
    )
    assert result.num_ratings == small_split.train_rows
    assert not result.refit


def test_a_refit_trains_on_train_and_val_for_the_best_number_of_epochs(small_split: SplitRef) -> None:
    records: list[Any] = []
    result = train(small_split, SETTINGS.model_copy(update={"refit": True}), device=CPU, on_record=records.append)
    again = [record for record in records if isinstance(record, EpochRecord) and record.phase == "refit"]
    assert len(again) == result.best_epoch
    assert {record.val_rmse for record in again} == {None}
    assert result.num_ratings == small_split.train_rows + small_split.val_rows
    users, movies = load_vocabularies(small_split, parts=("train", "val"))
    ratings = concatenate(*(load_part(small_split, part, users=users, movies=movies) for part in ("train", "val")))
    sizes = {"num_users": len(users), "num_movies": len(movies), "batch_size": result.batch_size}
    by_hand = fit(TrainingPlan.of(ratings, None, settings=SETTINGS, device=CPU, epochs=result.best_epoch, **sizes))
    for mine, theirs in zip(result.recommender.model.parameters(), by_hand.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_where_no_epoch_beats_the_start_the_refit_is_biases_of_train_and_val(tmp_path: Path) -> None:
    """Noise in place of tastes: 0 epochs of refit, and what comes after training works with them."""
    data = ingest("synthetic:users=150,movies=60,ratings=4000,signal=0", IngestSettings(), folder=tmp_path)
    parts, records = split(data, SplitSettings(), folder=tmp_path), []
    settings = SETTINGS.model_copy(update={"learning_rate": 0.03, "regularization": 0.1, "refit": True})
    result = train(parts, settings, device=CPU, on_record=records.append)
    assert (result.best_epoch, result.adam.step, result.adam.epoch) == (0, 0, 0)
    assert result.best_val_rmse == next(record.val_rmse for record in records if isinstance(record, StartRecord))
    assert not [record for record in records if isinstance(record, EpochRecord) and record.phase == "refit"]
    users, movies = load_vocabularies(parts, parts=("train", "val"))
    ratings = concatenate(*(load_part(parts, part, users=users, movies=movies) for part in ("train", "val")))
    plan = TrainingPlan.of(ratings, None, num_users=len(users), num_movies=len(movies), settings=settings)
    for name, table in plan.initial_model().state_dict().items():
        assert torch.equal(result.recommender.model.state_dict()[name], table), name

    history = GradientHistory.of(records)
    health = judge_health(history)
    assert health.overall in ("healthy", "warning"), health
    assert gradient_report(records, health, title="no tastes", facts={})
    lesson = explain(result.recommender, parts, settings, adam=result.adam)
    terms = lesson.prediction.terms
    assert lesson.start == pytest.approx({name: terms[name] for name in ("user_bias", "movie_bias")}, abs=1e-3)


def test_a_refit_knows_the_users_and_movies_of_val(split_with_newcomers: SplitRef) -> None:
    apart, together = (
        train(split_with_newcomers, SETTINGS.model_copy(update={"refit": refit}), device=CPU).recommender
        for refit in (False, True)
    )
    assert len(together.users) > len(apart.users)
    assert len(together.movies) > len(apart.movies)
    assert together.model.user_embeddings.num_embeddings == len(together.users)


def test_the_same_split_and_seed_give_the_same_recommender(small_split: SplitRef) -> None:
    first, second = (train(small_split, SETTINGS, device=CPU).recommender for _ in range(2))
    users, movies = first.users.decode(np.arange(20)), first.movies.decode(np.arange(20))
    assert np.array_equal(first.predict(users, movies), second.predict(users, movies))


def test_the_summary_has_the_batch_size_and_the_pull_of_biases(small_split: SplitRef) -> None:
    result = train(small_split, SETTINGS, device=CPU)
    summary = result.summary()
    assert summary["train/batch_size"] == 32
    for side in ("user", "movie"):
        assert summary[f"train/{side}_bias_pull"] == result.penalty.bias[side] > 0
