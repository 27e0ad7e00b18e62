"""The speed benchmark without other systems, on a few ratings."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import speed
import speed_floor
import speed_scale
import speed_textbook
from speed_floor import Machine, Work
from speed_lines import LINES, PEERS, line
from speed_peers import LIBMF
from speed_race import Race, Reached, races, train
from speed_sets import SOURCES, RatingSet
from speed_system import Factors, Goal, Peer
from speed_textbook import TEXTBOOK
from speed_watching import watch
from trainings import ratings_of

from cfmodel.config import MonitorSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.training.epoch_records import EpochRecord

FEW = line(256, 0.02, 6)


@pytest.fixture(scope="module")
def ratings() -> RatingSet:
    return RatingSet.divided("few", RatingArrays(*ratings_of("synthetic:users=200,movies=120,ratings=9000,seed=1")))


def test_a_tenth_is_held_out_and_no_rating_is_in_both_parts(ratings: RatingSet) -> None:
    assert len(ratings.test) + ratings.left_out == 900
    assert len(ratings.train) == 8100
    assert ratings.test.user_idx.max() < ratings.num_users
    assert ratings.test.movie_idx.max() < ratings.num_movies
    assert set(np.unique(ratings.train.user_idx)) == set(range(ratings.num_users))
    train, test = (
        set(zip(part.user_idx.tolist(), part.movie_idx.tolist(), strict=True)) for part in (ratings.train, ratings.test)
    )
    assert not train & test


def test_settings_are_chosen_on_ratings_of_the_training_part_only(ratings: RatingSet) -> None:
    chosen_on = ratings.validation()
    kept, _ = np.unique(ratings.train.rating, return_counts=True)
    seen = np.concatenate([chosen_on.train.rating, chosen_on.test.rating])
    assert len(seen) + chosen_on.left_out == len(ratings.train)
    assert np.isin(seen, kept).all()


def test_the_error_is_that_of_predictions_clamped_to_the_training_range(ratings: RatingSet) -> None:
    high = ratings.train.rating.max()
    found = ratings.rmse(lambda user, movie: np.full(len(user), 1e9))
    assert found == pytest.approx(math.sqrt(np.square(high - ratings.test.rating).mean()), rel=1e-6)


def test_a_factorisation_predicts_the_mean_plus_biases_plus_the_dot_product() -> None:
    factors = Factors(
        np.array([[1.0, 2.0]]), np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([0.5]), np.array([0, 0.25]), 3
    )
    assert factors.predict(np.array([0]), np.array([1])) == pytest.approx(3 + 0.5 + 0.25 + 11)


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.9, "aim"), (1.0, "aim"), (2.5, "met"), (2.6, "missed"), (math.inf, "missed")]
)
def test_a_ratio_is_compared_with_the_required_and_the_desired_one(value: float, verdict: str) -> None:
    assert Goal(2.5, 1.0).verdict(value) == verdict


def test_a_larger_pace_is_better_and_without_a_goal_there_is_no_verdict() -> None:
    pace = Goal(0.5, 0.8, at_least=True)
    assert [pace.verdict(value) for value in (0.4, 0.5, 0.9)] == ["missed", "met", "aim"]
    assert Goal().verdict(7.0) == ""


def test_there_is_no_ratio_where_the_other_error_is_lower(ratings: RatingSet) -> None:
    race = Race(TEXTBOOK, Reached(3, 1.0, 0.65), Reached(3, 0.01, 0.66), FEW)
    assert race.ratio == math.inf
    assert "RMSE not reached" in speed.race_row(ratings, race)
    assert Race(TEXTBOOK, Reached(3, 1.0, 0.65), Reached(3, 0.01, 0.65), FEW).ratio == pytest.approx(0.01)


def test_the_textbook_is_trained_and_raced(ratings: RatingSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speed_race.LONG", math.inf)  # however slow the machine is
    lines: list[str] = []
    brief = replace(TEXTBOOK, train=lambda data, epochs: speed_textbook.train(data, epochs or 3))
    [race] = races(ratings, {brief: FEW}, repeats=2, tell=lines.append)
    spread = float(ratings.test.rating.std())
    assert race.theirs.rmse < spread
    assert race.ours.rmse < race.theirs.rmse
    assert (race.theirs.epochs, race.ours.epochs) == (3, FEW.epochs)
    assert (race.theirs.times, race.ours.times) == (2, 2)
    assert lines[0].startswith(f"textbook: {race.theirs.rmse:.4f} after {race.theirs.epochs} epochs")
    assert f"| textbook | {race.theirs.rmse:.4f} |" in speed.race_row(ratings, race)


def test_every_system_has_settings_for_every_set() -> None:
    assert all(set(lines) == {peer.name for peer in PEERS} for lines in LINES.values())
    assert set(LINES) < set(SOURCES)


def test_a_system_that_is_not_installed_has_no_version() -> None:
    absent = Peer("absent", "", Goal(), LIBMF.prepare, LIBMF.train, package="no-such-package", module="no_such_module")
    assert absent.version is None
    assert TEXTBOOK.version == "here"


def test_the_monitor_is_compared_with_trainings_without_it(ratings: RatingSet) -> None:
    cost = watch(ratings, FEW.model_copy(update={"epochs": 1}), rounds=3)
    assert cost.rounds == 3
    assert 0 < cost.ratio < math.inf
    assert 0 < cost.noise[0] <= cost.noise[1]


def test_pace_and_memory_are_measured_in_a_separate_process(tmp_path: Path) -> None:
    rng, count = np.random.default_rng(0), 500_000
    kinds = ((2_000, np.int32), (1_000, np.int32), (5, np.float32))
    made = RatingSet.divided("made up", RatingArrays(*(rng.integers(0, most, count).astype(to) for most, to in kinds)))
    speed_scale.save(made, tmp_path / "ratings.npz")
    found = speed_scale.measure(tmp_path / "ratings.npz", line(65_536, 0.01, 1), cores=1, repeats=1)
    assert found.ratings == len(made.train)
    assert found.ratings_per_second == pytest.approx(found.ratings / found.seconds)
    assert found.rmse == pytest.approx(made.test.rating.std(), rel=0.1)
    held = sum(getattr(part, name).nbytes for part in (made.train, made.test) for name in ("user_idx", "rating"))
    assert held < found.peak_bytes < 2**30


def test_the_floor_counts_the_rows_that_training_touched(ratings: RatingSet, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ratings.num_users + ratings.num_movies
    _, _, records = train(ratings, FEW, monitor=MonitorSettings(budget_fraction=1.0))
    touched = Work.of(records, records, FEW, num_rows=rows)
    every = Work.of(records, records, FEW.model_copy(update={"adam": "all_rows"}), num_rows=rows)
    steps = next(record.step for record in records if isinstance(record, EpochRecord))
    assert every.rows == pytest.approx(rows * steps / len(ratings.train))
    assert every.row_bytes == pytest.approx(every.rows * 51 * 4 * 3 * 2)
    assert 0.1 * every.rows < touched.rows < every.rows
    machine = Machine(memory=2 * (touched.row_bytes + touched.gathered_bytes), cached=math.inf, operations=math.inf)
    assert touched.seconds_at_least(machine) == {"memory": pytest.approx(0.5), "caches": 0, "operations": 0}
    monkeypatch.setattr(speed_floor, "_BEYOND", 2**16)
    measured = Machine.measured(2**16, threads=1)
    assert min(measured.memory, measured.cached, measured.operations) > 1e6
