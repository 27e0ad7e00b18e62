"""The law of the scale: ratings times a, plus b, give predictions times a, plus b, and change nothing else."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from training_engines import (
    ADAMS,
    ENGINES,
    assert_same_samples,
    assert_same_training,
    chosen,
    drawn,
    engine_on,
    plan_of,
    run_epochs,
)

from cfmodel.config import EvaluationSettings, IngestSettings, MonitorSettings, SplitSettings, TrainSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.data.splitting.split import split
from cfmodel.evaluation.evaluate import evaluate
from cfmodel.gradients.health.judge import judge_health
from cfmodel.gradients.lesson.lesson_records import Lesson
from cfmodel.gradients.lesson.text import lesson_sections
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import Outcome, StepBlock
from cfmodel.recommending.fold_in import FoldIn
from cfmodel.recommending.recommender import Recommender
from cfmodel.recommending.suggest import ratings_by_id, suggest, suggest_to_new
from cfmodel.refs import SplitRef
from cfmodel.serving import _load_pyfunc
from cfmodel.training.epoch_records import EpochRecord
from cfmodel.training.explain import explain
from cfmodel.training.monitor_setup import build_monitor
from cfmodel.training.resuming.checkpoint_policy import CheckpointPolicy
from cfmodel.training.resuming.checkpoints import CheckpointFolder
from cfmodel.training.train import TrainingResult, train

CPU = torch.device("cpu")
USERS, MOVIES = 50, 30
SETTINGS = TrainSettings(epochs=4, embedding_dim=3, learning_rate=0.02)
#: Factor and summand of the ratings.
SCALES = [(1e-3, 0.0), (1e-3, 1e6), (0.01, -7.0), (20.0, 0.0), (1000.0, 1e6), (1e5, -7.0)]
#: Largest difference that rounding makes, in standard deviations: a float32 has 24 bits.
ROUNDING = 1e-4
#: Ratings of a new user, on the scale of the stars.
GIVEN = {"m1": 5.0, "m2": 1.0, "m3": 4.5, "m7": 2.0}


@dataclass(frozen=True)
class Change:
    """A change of the ratings' unit and zero."""

    factor: float = 1.0
    summand: float = 0.0

    def of(self, stars: Any) -> Any:
        """Return ratings or predictions in the changed unit."""
        return stars * self.factor + self.summand

    def check(self, found: Any, stars: Any) -> None:
        """Check predictions against those in stars, whose standard deviation is about 1."""
        np.testing.assert_allclose(found, self.of(np.asarray(stars)), rtol=1e-14, atol=ROUNDING * self.factor)


@dataclass(frozen=True, eq=False)
class Trained:
    """A training on changed ratings, with its records."""

    change: Change
    parts: SplitRef
    result: TrainingResult
    records: list[Any]

    @property
    def recommender(self) -> Recommender:
        return self.result.recommender

    def of(self, kind: type) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]

    def lesson(self) -> Lesson:
        return explain(self.recommender, self.parts, SETTINGS, adam=self.result.adam)


def stars() -> pd.DataFrame:
    """Ratings in half stars: biases, a taste and noise."""
    rng = np.random.default_rng(0)
    user, movie = np.divmod(rng.permutation(USERS * MOVIES)[:1200], MOVIES)
    taste = rng.standard_normal(USERS)[user] * rng.standard_normal(MOVIES)[movie]
    exact = 3.2 + 0.5 * rng.standard_normal(USERS)[user] + 0.5 * rng.standard_normal(MOVIES)[movie] + 0.5 * taste
    rating = (2 * (exact + 0.3 * rng.standard_normal(len(user)))).round().clip(1, 10) / 2
    return pd.DataFrame({"user_id": [f"u{row}" for row in user], "movie_id": [f"m{row}" for row in movie]}).assign(
        rating=rating
    )


def train_on(parts: SplitRef, on_record: Callable[[Any], None], **how: Any) -> TrainingResult:
    return train(parts, SETTINGS, device=CPU, on_record=on_record, monitor=MonitorSettings(sample_every=8), **how)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Trained]:
    """Return the training on ratings times a factor, plus a summand."""

    @cache
    def run(factor: float = 1.0, summand: float = 0.0) -> Trained:
        folder, change = tmp_path_factory.mktemp("scaled"), Change(factor, summand)
        ratings, records = stars(), []
        ratings.assign(rating=change.of(ratings["rating"])).to_csv(folder / "ratings.csv", index=False)
        ref = ingest(str(folder / "ratings.csv"), IngestSettings(), folder=folder)
        parts = split(ref, SplitSettings(), folder=folder)
        return Trained(change, parts, train_on(parts, records.append), records)

    return run


@pytest.mark.parametrize("scale", SCALES)
def test_predictions_lists_and_errors_follow_the_scale(trained: Callable[..., Trained], scale: Any) -> None:
    ours, theirs = trained(*scale), trained()
    recommender, other, change = ours.recommender, theirs.recommender, ours.change
    assert recommender.users.ids.equals(other.users.ids)
    # One row more on each side is unknown.
    user, movie = (rows.ravel().astype(np.int32) for rows in np.mgrid[-1:USERS, -1:MOVIES])
    change.check(recommender.predict_rows(user, movie), other.predict_rows(user, movie))
    every = np.arange(-1, USERS)
    lists, expected = suggest(recommender, every, k=5), suggest(other, every, k=5)
    assert lists.movie_idx.tolist() == expected.movie_idx.tolist()
    there = expected.movie_idx >= 0
    change.check(lists.score[there], expected.score[there])
    for name in ("best_val_rmse", "rmse", "mae"):
        found, wanted = (_errors(each)[name] for each in (ours, theirs))
        assert found == pytest.approx(wanted * change.factor, rel=ROUNDING), name
    for side, pull in theirs.result.penalty.bias.items():
        assert ours.result.penalty.bias[side] == pytest.approx(pull, rel=1e-4)


def _errors(one: Trained) -> dict[str, float]:
    metrics = evaluate(one.recommender, one.parts, EvaluationSettings()).metrics
    return {
        "best_val_rmse": one.result.best_val_rmse or 0.0,
        "rmse": metrics["test/rmse"],
        "mae": metrics["test/mae"],
    }


@pytest.mark.parametrize("scale", SCALES)
def test_new_users_follow_the_scale_from_the_model_saved_and_served(
    trained: Callable[..., Trained], scale: Any, tmp_path: Path
) -> None:
    ours, theirs = trained(*scale), trained()
    change, answers = ours.change, []
    for one in (ours, theirs):
        folder = tmp_path / str(one.change.factor)
        one.recommender.save(folder)
        loaded, served = Recommender.load(folder), _load_pyfunc(str(folder))
        given = {movie: one.change.of(rating) for movie, rating in GIVEN.items()}
        rated = ratings_by_id(loaded, given)
        fold_in = FoldIn.of(loaded)
        users = fold_in.solve(rated, 1)
        each = users._replace(vectors=users.vectors.repeat(MOVIES, 1), offset=users.offset.repeat(MOVIES))
        pairs = pd.DataFrame({"user_id": "u1", "movie_id": [f"m{row}" for row in range(MOVIES)]})
        pairs_of_new = pairs.assign(rated=[given] * MOVIES)
        known = loaded.predict(pairs["user_id"], pairs["movie_id"])
        assert known.tobytes() == one.recommender.predict(pairs["user_id"], pairs["movie_id"]).tobytes()
        assert served.predict(pairs)["prediction"].tolist() == known.tolist()
        answers.append(
            {
                "offset": float(users.offset[0]),
                "list": suggest_to_new(loaded, rated, 1, k=6),
                "folded": fold_in.predict(each, np.arange(MOVIES, dtype=np.int32)),
                "served": served.predict(pairs_of_new)["prediction"].to_numpy(),
                "known": known,
                "list of known": served.predict(pd.DataFrame({"user_id": ["u1", "nobody"]}), params={"k": 4}),
                "list of new": served.predict(pd.DataFrame({"rated": [given]}), params={"k": 4}),
            }
        )
    found, expected = answers
    assert found["offset"] == pytest.approx(expected["offset"], abs=ROUNDING)
    assert found["list"].movie_idx.tolist() == expected["list"].movie_idx.tolist()
    change.check(found["list"].score, expected["list"].score)
    for name in ("folded", "served", "known"):
        change.check(found[name], expected[name])
    for name in ("list of known", "list of new"):
        pd.testing.assert_frame_equal(found[name].drop(columns="score"), expected[name].drop(columns="score"))
        change.check(found[name]["score"], expected[name]["score"])


@pytest.mark.parametrize("scale", SCALES)
def test_records_of_gradients_and_verdicts_do_not_depend_on_the_scale(
    trained: Callable[..., Trained], scale: Any
) -> None:
    ours, theirs = trained(*scale), trained()
    assert_same_samples(ours.records, theirs.records)
    for one, two in zip(ours.of(StepBlock), theirs.of(StepBlock), strict=True):
        for name in ("loss", "mean_squared_error", "total_norm", "clip_coefficient"):
            np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-3, err_msg=name)
        for table, norms in one.grad_norms.items():
            np.testing.assert_allclose(norms, two.grad_norms[table], rtol=1e-3, err_msg=table)
    for one, two in zip(ours.of(EpochRecord), theirs.of(EpochRecord), strict=True):
        assert (one.phase, one.epoch, one.step, one.best) == (two.phase, two.epoch, two.step, two.best)
        assert one.train_loss == pytest.approx(two.train_loss, rel=ROUNDING)
        assert one.train_rmse == pytest.approx(two.train_rmse * ours.change.factor, rel=ROUNDING)
    (one,), (two,) = ours.of(Outcome), theirs.of(Outcome)
    assert one.taste_score == pytest.approx(two.taste_score, rel=1e-3)
    for name in ("global_mean_rmse", "damped_bias_rmse"):
        assert getattr(one, name) == pytest.approx(getattr(two, name) * ours.change.factor, rel=ROUNDING)
    verdicts, expected = (judge_health(GradientHistory.of(each.records)).verdicts for each in (ours, theirs))
    assert [(each.rule, each.table, each.severity, each.first_step) for each in verdicts] == [
        (each.rule, each.table, each.severity, each.first_step) for each in expected
    ]


@pytest.mark.parametrize("scale", [(1e-3, 1e6), (20.0, 0.0)])
def test_a_lesson_differs_in_rating_units_alone_and_its_text_shows_the_spread(
    trained: Callable[..., Trained], scale: Any
) -> None:
    ours, theirs = trained(*scale), trained()
    lesson, other, change = ours.lesson(), theirs.lesson(), ours.change
    assert (lesson.user_id, lesson.movie_id, lesson.part) == (other.user_id, other.movie_id, other.part)
    found, expected = lesson.prediction, other.prediction
    assert found.scale.std == pytest.approx(change.factor * expected.scale.std, rel=1e-6)
    assert found.terms == pytest.approx(expected.terms, abs=ROUNDING)
    change.check([found.scale.mean, found.prediction, found.rating], [
        expected.scale.mean, expected.prediction, expected.rating,
    ])  # fmt: skip
    assert found.error == pytest.approx(change.factor * expected.error, abs=ROUNDING * change.factor)
    for one, two in zip(lesson.nudges, other.nudges, strict=True):
        change.check(one.new_prediction, two.new_prediction)
        assert (one.change, one.decreased) == (two.change, two.decreased)
    for one, two in zip(lesson.slopes, other.slopes, strict=True):
        assert one.name == two.name
        assert one.gradient == pytest.approx(two.gradient, abs=ROUNDING) == pytest.approx(one.finite_difference)
    np.testing.assert_allclose(lesson.curve.losses, other.curve.losses, atol=ROUNDING)
    for one, two in zip(lesson.adam, other.adam, strict=True):
        assert one.new_value == pytest.approx(two.new_value, abs=ROUNDING)
    text = "\n".join(line for _, lines in lesson_sections(lesson) for line in lines)
    spread = f"{found.scale.std:.{found.scale.decimals}f}"
    assert float(spread) == pytest.approx(found.scale.std, rel=2e-4)
    assert f"(rating - global_mean) / {spread}" in text
    assert text.count(f"* {spread} =") == len(found.terms)


def test_a_resumed_training_follows_the_scale_to_the_last_bit_of_one_that_was_not_stopped(
    trained: Callable[..., Trained], tmp_path: Path
) -> None:
    class Stop(BaseException): ...

    def stop(record: Any) -> None:
        if isinstance(record, EpochRecord) and (record.phase, record.epoch) == ("fit", 3):
            raise Stop

    def policy() -> CheckpointPolicy:
        return CheckpointPolicy(CheckpointFolder(tmp_path), every_seconds=0, most_share=1e9)

    whole = trained(1e-3, 1e6)
    with pytest.raises(Stop):
        train_on(whole.parts, stop, checkpoints=policy())
    resumed = train_on(whole.parts, lambda record: None, checkpoints=policy()).recommender
    for name, table in whole.recommender.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], table), name
    assert (resumed.rating_min, resumed.rating_max) == (whole.recommender.rating_min, whole.recommender.rating_max)
    user, movie = (rows.ravel().astype(np.int32) for rows in np.mgrid[0:USERS, 0:MOVIES])
    whole.change.check(resumed.predict_rows(user, movie), trained().recommender.predict_rows(user, movie))


@pytest.mark.parametrize("adam", ADAMS)
@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_learns_the_same_on_any_scale(engine: str, adam: str) -> None:
    def learned(change: Change) -> tuple[Any, Any, list[Any]]:
        rows = drawn(600)
        ratings = RatingArrays(rows.user_idx, rows.movie_idx, change.of(rows.rating.astype(np.float64)))
        plan = plan_of(ratings, chosen(adam=adam), batch_size=64, epochs=2, monitor=MonitorSettings(sample_every=1))
        alone, watched, records = engine_on(plan, ENGINES[engine]), engine_on(plan, ENGINES[engine], torch.float32), []
        monitor = build_monitor(watched, plan, steps=10, on_record=records.append)
        monitor.start()
        watched.run_epoch(1, on_progress=lambda fraction: None, monitor=monitor)
        monitor.end_epoch()
        monitor.finish()
        return alone, run_epochs(alone), records

    engine_of_stars, log_of_stars, records_of_stars = learned(Change())
    users, movies = torch.arange(25), torch.arange(25)
    for change in (Change(1e-3, 1e6), Change(20.0), Change(1e5, -7.0)):
        one, log, records = learned(change)
        assert_same_training((one, log), (engine_of_stars, log_of_stars), 1e-5)
        assert_same_samples(records, records_of_stars)
        change.check(one.model(users, movies).detach(), engine_of_stars.model(users, movies).detach())
