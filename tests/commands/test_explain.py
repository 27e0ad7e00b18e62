"""`cfmodel explain` on a real run in a real store: numbers, words and refusals."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from cfmodel import tracking
from cfmodel.cli import main
from cfmodel.config import PipelineSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.parts import RatingArrays, concatenate, load_part
from cfmodel.data.splitting.split import split
from cfmodel.errors import DataError, DigestError, TrackingError, VocabularyError
from cfmodel.gradients.lesson.lesson import adam_step
from cfmodel.refs import SplitRef
from cfmodel.training.batching.batches import Batches, DeviceRatings
from cfmodel.training.batching.row_counts import RowCounts
from cfmodel.training.engines.step import update
from cfmodel.training.explain import explain
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.resuming.adam_state import SavedAdamState, adam_state_path
from cfmodel.training.train import TrainingResult, train

SOURCE = "synthetic:users=60,movies=40,ratings=1200"
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Home:
    """A folder with a store in it, and one finished run."""

    folder: Path
    settings: PipelineSettings
    parts: SplitRef
    trained: TrainingResult
    run: tracking.Run

    def learned(self) -> RatingArrays:
        """Ratings the model learned from, in the order training took them."""
        ids = {"users": self.trained.recommender.users, "movies": self.trained.recommender.movies}
        return concatenate(*(load_part(self.parts, part, **ids) for part in ("train", "val")))


@pytest.fixture(scope="module")
def home(make_mlflow_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("home")
    settings = PipelineSettings.of(
        overrides={
            "train.epochs": 3,
            "train.embedding_dim": 4,
            "train.schedule": "cosine",
            "runtime.data_dir": folder / "data",
            "tracking.uri": make_mlflow_store(folder),
        }
    )
    data_dir = settings.runtime.data_dir
    parts = split(ingest(SOURCE, settings.ingest, folder=data_dir), settings.split, folder=data_dir)
    run = tracking.start_run(settings.tracking)
    tracking.log_settings(run, settings, source=SOURCE)
    tracking.log_split(run, parts)
    trained = train(parts, settings.train, device=CPU)
    trained.recommender.save(data_dir / "models" / run.run_id)
    trained.adam.save(adam_state_path(data_dir / "models" / run.run_id))
    tracking.end_run(run)
    # Newer, but neither finished nor of the pipeline: not to be taken for the newest run.
    tracking.end_run(tracking.start_run(settings.tracking, tags={"kind": "comparison"}))
    tracking.log_split(tracking.start_run(settings.tracking), parts)
    return Home(folder, settings, parts, trained, run)


@pytest.fixture
def command(home: Home, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", home.settings.tracking.uri or "")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["explain", *arguments])

    return run


def test_it_explains_the_newest_finished_run_with_the_textbooks_words(
    home: Home, command: Callable[..., Result]
) -> None:
    result = command()
    assert result.exit_code == 0, result.output
    assert home.run.run_id in result.output
    for words in ("new_prediction", "new_error", "Error decreased!", "You are here", "autograd", "a rare movie"):
        assert words in result.output
    assert "●" in result.output


def test_a_run_is_found_by_its_id_and_by_its_name(home: Home, command: Callable[..., Result]) -> None:
    by_id, by_name = command("--run", home.run.run_id), command("--run", home.run.name)
    assert by_id.output == by_name.output == command().output


def test_the_default_rating_is_the_one_with_the_median_error(home: Home) -> None:
    model = home.trained.recommender.model
    lesson = explain(home.trained.recommender, home.parts, home.settings.train, adam=home.trained.adam)
    ids = {"users": home.trained.recommender.users, "movies": home.trained.recommender.movies}
    ratings = load_part(home.parts, "train", **ids)
    predictions = model(torch.tensor(ratings.user_idx), torch.tensor(ratings.movie_idx)).detach().numpy()
    errors = np.abs(ratings.rating - predictions)
    assert abs(lesson.prediction.error) == pytest.approx(float(np.quantile(errors, 0.5, method="lower")), abs=1e-5)
    assert (lesson.part, lesson.update.learning_rate) == ("train", home.settings.train.learning_rate)


def test_adams_step_is_the_next_one_that_training_would_make(home: Home) -> None:
    """Put Adam's memory into a new Adam, do the steps of the next epoch, and look at the same biases."""
    trained, memory = home.trained, home.trained.adam
    lesson = explain(trained.recommender, home.parts, home.settings.train, adam=memory)
    ratings = DeviceRatings.of(home.learned().standardized(trained.recommender.model.scale), CPU)
    planned = Batches(
        home.learned(),
        num_users=len(trained.recommender.users),
        num_movies=len(trained.recommender.movies),
        batch_size=memory.batch_size,
        seed=0,
    )
    order = planned.order()
    batches = [ratings[torch.from_numpy(order[places])] for places in planned.of(memory.epoch + 1)]
    for told in lesson.adam:
        side = told.before.name.removesuffix("_bias")
        vocabulary = trained.recommender.users if side == "user" else trained.recommender.movies
        row = vocabulary.row_of(told.before.id)
        batch = next(batch for batch in batches if bool((getattr(batch, f"{side}_idx") == row).any()))
        assert told.before.in_batch == int((getattr(batch, f"{side}_idx") == row).sum())
        assert told.new_value == pytest.approx(after_a_step(home, batch, f"{side}_biases", row), abs=1e-6)


def after_a_step(home: Home, batch: DeviceRatings, table: str, row: int) -> float:
    """Return a bias after torch's own Adam, with the memory put back, did one step on a copy of the model."""
    import copy

    memory, model = home.trained.adam, copy.deepcopy(home.trained.recommender.model)
    optimizer = torch.optim.Adam(model.parameters(), lr=home.settings.train.learning_rate)
    for name, weight in model.named_parameters():
        short = name.removesuffix(".weight")
        optimizer.state[weight] = {
            "step": torch.tensor(float(memory.step)),
            "exp_avg": memory.first_moments[short].clone(),
            "exp_avg_sq": memory.second_moments[short].clone(),
        }
    learned = home.learned()
    counts = RowCounts.of(learned, num_users=model.num_rows["user"], num_movies=model.num_rows["movie"])
    weights = memory.penalty.weights(type(model), counts)
    penalty = {name: torch.from_numpy(rows) for name, rows in weights.items()}
    update(model, optimizer, batch, penalty=penalty, max_grad_norm=1.0)
    return float(model.get_parameter(f"{table}.weight").detach()[row, 0])


def test_the_lesson_says_where_the_biases_started(home: Home, command: Callable[..., Result]) -> None:
    lesson = explain(home.trained.recommender, home.parts, home.settings.train, adam=home.trained.adam)
    users, movies = home.trained.recommender.users, home.trained.recommender.movies
    plan = TrainingPlan.of(
        home.learned(), None, num_users=len(users), num_movies=len(movies), settings=home.settings.train
    )
    tables, rows = plan.initial_model().weights(), (users.row_of(lesson.user_id), movies.row_of(lesson.movie_id))
    first = {
        name: float(tables[table].detach()[row, 0])
        for name, table, row in zip(lesson.start, ("user_biases", "movie_biases"), rows, strict=True)
    }
    assert lesson.start == pytest.approx(first, abs=1e-4)
    line = f"Before the first step user_bias was {lesson.start['user_bias']:+.4f} and movie_bias "
    assert line in command().output


def test_the_lesson_of_biases_from_zero_has_no_start(home: Home) -> None:
    settings = home.settings.train.model_copy(update={"bias_start": "zero", "epochs": 1})
    trained = train(home.parts, settings, device=CPU)
    assert explain(trained.recommender, home.parts, settings, adam=trained.adam).start == {}


def test_adams_memory_is_that_of_the_training_and_survives_the_disk(home: Home) -> None:
    saved = SavedAdamState.load(adam_state_path(home.settings.runtime.data_dir / "models" / home.run.run_id))
    memory = home.trained.adam
    steps = round(len(home.learned()) / memory.batch_size)
    assert (saved.epoch, saved.step) == (home.trained.best_epoch, home.trained.best_epoch * steps)
    assert (saved.learning_rate, saved.penalty) == (memory.learning_rate, home.trained.penalty)
    for name, table in memory.second_moments.items():
        assert torch.equal(saved.second_moments[name], table)
        assert torch.equal(saved.first_moments[name], memory.first_moments[name])


def test_without_refit_the_memory_is_that_of_the_best_epoch(home: Home) -> None:
    settings = home.settings.train.model_copy(
        update={"refit": False, "learning_rate": 0.2, "regularization": 0.0, "epochs": 9}
    )
    found = train(home.parts, settings, device=CPU)
    assert found.best_epoch < found.epochs
    assert found.adam.epoch == found.best_epoch
    again = train(home.parts, settings.model_copy(update={"patience": found.epochs}), device=CPU)
    assert torch.equal(found.adam.first_moments["user_biases"], again.adam.first_moments["user_biases"])


def test_popular_and_rare_are_the_movies_with_most_and_fewest_ratings(home: Home) -> None:
    lesson = explain(home.trained.recommender, home.parts, home.settings.train, adam=home.trained.adam)
    counts = np.bincount(home.learned().movie_idx)
    popular, rare = lesson.adam[2].before, lesson.adam[3].before
    assert (popular.ratings, rare.ratings) == (counts.max(), counts[counts > 0].min())
    assert adam_step(rare, learning_rate=0.003, max_grad_norm=1.0) == lesson.adam[3]


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_a_rating_of_any_part_can_be_named(home: Home, command: Callable[..., Result], part: str) -> None:
    recommender = home.trained.recommender
    ratings = load_part(home.parts, part, users=recommender.users, movies=recommender.movies)
    place = int(np.flatnonzero((ratings.user_idx >= 0) & (ratings.movie_idx >= 0))[0])
    user = recommender.users.decode([ratings.user_idx[place]])[0]
    movie = recommender.movies.decode([ratings.movie_idx[place]])[0]
    result = command("--user", user, "--movie", movie)
    assert result.exit_code == 0, result.output
    assert f"User {user}, movie {movie}: a rating of the {part} part" in result.output
    assert re.search(rf"actual_rating +\+{ratings.rating[place]:.4f}", result.output)


def test_unknown_ids_are_refused_with_near_ones(command: Callable[..., Result]) -> None:
    result = command("--user", "1", "--movie", "zzz")
    assert result.exit_code == 1
    assert re.fullmatch(r"Error: movie id 'zzz' is not among the \d+ known ids; similar ids: .*\n", result.output)
    assert "user id '99999'" in command("--user", "99999", "--movie", "1").output


def test_refusals_name_their_kind(home: Home) -> None:
    recommender, memory, settings = home.trained.recommender, home.trained.adam, home.settings.train
    with pytest.raises(VocabularyError, match="user id 'nobody'"):
        explain(recommender, home.parts, settings, adam=memory, user_id="nobody", movie_id="1")
    with pytest.raises(DataError, match="both --user and --movie"):
        explain(recommender, home.parts, settings, adam=memory, user_id="1")
    with pytest.raises(TrackingError, match="no run with the id or name 'absent'"):
        tracking.find_run(home.settings.tracking, "absent")


def test_a_movie_the_user_has_not_rated_is_refused_with_some_they_did(home: Home) -> None:
    recommender = home.trained.recommender
    ids = {"users": recommender.users, "movies": recommender.movies}
    parts = [load_part(home.parts, part, **ids) for part in ("train", "val", "test")]
    rated = np.concatenate([part.movie_idx[part.user_idx == 0] for part in parts])
    unrated = int(np.setdiff1d(np.arange(len(recommender.movies)), rated)[0])
    names = {"user_id": recommender.users.decode([0])[0], "movie_id": recommender.movies.decode([unrated])[0]}
    with pytest.raises(DataError, match=r"has not rated movie .* movies this user did rate: '"):
        explain(recommender, home.parts, home.settings.train, adam=home.trained.adam, **names)


def test_a_store_that_is_not_there_is_not_created(tmp_path: Path) -> None:
    settings = PipelineSettings.of(overrides={"tracking.uri": f"sqlite:///{tmp_path}/absent.db"}).tracking
    with pytest.raises(TrackingError, match="no such store yet; run `cfmodel run` first"):
        tracking.find_run(settings)
    assert not list(tmp_path.iterdir())


def test_a_damaged_memory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m-adam.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0damaged")
    for name in ("m", "absent"):
        with pytest.raises(DigestError, match="train again"):
            SavedAdamState.load(adam_state_path(tmp_path / name))
