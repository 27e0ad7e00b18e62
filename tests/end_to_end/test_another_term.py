"""A fifth table, a second bias of the movies: declared by a subclass alone, and right wherever a model goes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from cfmodel import terminal
from cfmodel.config import IngestSettings, MonitorSettings, SplitSettings, TrainSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.parts import RatingArrays, concatenate, load_part
from cfmodel.data.splitting.split import split
from cfmodel.errors import ConfigError, DataError
from cfmodel.gradients.health.judge import judge_health
from cfmodel.gradients.lesson.text import lesson_sections
from cfmodel.gradients.recording.archive import archived, read_archive
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import InitialRecord, StepBlock, StepSample
from cfmodel.gradients.report.run_report import gradient_report
from cfmodel.model import CollaborativeFiltering
from cfmodel.plots.plots import learning_curves, png
from cfmodel.recommending.fold_in import FoldIn
from cfmodel.recommending.recommender import Recommender
from cfmodel.recommending.suggest import suggest
from cfmodel.recommending.top_k import catalogue_scores
from cfmodel.refs import SplitRef
from cfmodel.tables import TABLES, TERMS, Table, Term
from cfmodel.training.batching.batches import DeviceRatings
from cfmodel.training.engines.choose import choose
from cfmodel.training.engines.step import loss_of
from cfmodel.training.epoch_records import EpochRecord
from cfmodel.training.explain import explain
from cfmodel.training.monitor_setup import sensitivity_of
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.resuming.checkpoint_policy import CheckpointPolicy
from cfmodel.training.resuming.checkpoints import CheckpointFolder
from cfmodel.training.train import TrainingResult, train

CPU = torch.device("cpu")
SETTINGS = TrainSettings(epochs=4, embedding_dim=3, learning_rate=0.02)
TABLE = "movie_offsets"


class WithOffsets(CollaborativeFiltering):
    """The model with a second movie bias."""

    TABLES = (*TABLES, Table(TABLE, "movie_offset", "movie", width=1))
    TERMS = (*TERMS, Term(movie=TABLE))


@dataclass(frozen=True, eq=False)
class Trained:
    """A training of it, with all it left behind."""

    parts: SplitRef
    result: TrainingResult
    records: list[object]
    archive: Path

    @property
    def recommender(self) -> Recommender:
        return self.result.recommender

    def by_hand(self, users: np.ndarray, movies: np.ndarray) -> np.ndarray:
        """The formula, written out, in float64."""
        rows = {name: weight.detach().numpy().astype(np.float64) for name, weight in self.model.weights().items()}
        dot = (rows["user_embeddings"][users] * rows["movie_embeddings"][movies]).sum(axis=1)
        biases = rows["user_biases"][users, 0] + rows["movie_biases"][movies, 0] + rows[TABLE][movies, 0]
        return np.asarray(self.model.scale.mean + self.model.scale.std * (biases + dot))

    @property
    def model(self) -> CollaborativeFiltering:
        return self.recommender.model


def train_on(
    parts: SplitRef,
    records: list[object],
    checkpoints: CheckpointPolicy | None = None,
    settings: TrainSettings = SETTINGS,
) -> TrainingResult:
    return train(
        parts, settings, device=CPU, on_record=records.append, monitor=MonitorSettings(sample_every=8),
        checkpoints=checkpoints, model=WithOffsets,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("offsets")
    ratings = ingest("synthetic:users=150,movies=60,ratings=4000", IngestSettings(), folder=folder)
    parts, records = split(ratings, SplitSettings(), folder=folder), []
    with archived(folder / "archive") as keep:
        result = train_on(parts, records)
        for record in records:
            keep(record)
    return Trained(parts, result, records, folder / "archive")


def test_predictions_are_the_formula_with_its_fifth_table(trained: Trained) -> None:
    users, movies = np.repeat(np.arange(20), 5), np.tile(np.arange(5), 20)
    found = trained.model(torch.from_numpy(users), torch.from_numpy(movies)).detach().numpy()
    np.testing.assert_allclose(found, trained.by_hand(users, movies), rtol=1e-5)
    assert float(trained.model.weights()[TABLE].detach().abs().min()) > 0  # every one has been learned
    cold = trained.model.score(torch.tensor([-1]), torch.tensor([3]))
    weights = trained.model.weights()
    expected = weights["movie_biases"][3, 0] + weights[TABLE][3, 0]
    torch.testing.assert_close(cold, expected.detach().view(1))


def test_each_row_is_pulled_by_its_number_of_ratings_and_the_start_is_in_the_first_bias(trained: Trained) -> None:
    users, movies = trained.recommender.users, trained.recommender.movies
    parts = (load_part(trained.parts, part, users=users, movies=movies) for part in ("train", "val"))
    plan = TrainingPlan.of(
        concatenate(*parts), None, num_users=len(users), num_movies=len(movies), settings=SETTINGS, model=WithOffsets
    )
    assert trained.result.penalty == plan.penalty
    weights, rated = plan.penalty_weights(), plan.counts.movie > 0
    assert list(weights) == list(WithOffsets.table_names())
    pulls = weights[TABLE].numpy() * plan.counts.movie
    np.testing.assert_allclose(pulls[rated], plan.penalty.bias["movie"], rtol=1e-6)
    np.testing.assert_array_equal(weights[TABLE], weights["movie_biases"])
    start = plan.initial_model().weights()
    assert start["movie_biases"].any()
    assert not start[TABLE].any()
    # The gradient of the whole loss has the pull of the fifth table's rows.
    model = plan.initial_model()
    with torch.no_grad():
        model.weights()[TABLE].fill_(0.5)
    batch = DeviceRatings.of(plan.train, CPU)
    slopes = []
    for penalty in (weights, {**weights, TABLE: torch.zeros(len(movies))}):
        model.zero_grad()
        loss_of(model, batch, penalty=penalty).total.backward()  # type: ignore[no-untyped-call]
        slopes.append(model.get_parameter(f"{TABLE}.weight").grad[:, 0].numpy().copy())  # type: ignore[index, union-attr]
    np.testing.assert_allclose(slopes[0] - slopes[1], pulls * 2 * 0.5 / len(plan.train), atol=1e-6)


def test_lists_are_ordered_by_predictions_and_say_them(trained: Trained) -> None:
    users, movies = np.arange(150), np.arange(len(trained.recommender.movies))
    every = trained.by_hand(np.repeat(users, len(movies)), np.tile(movies, len(users))).reshape(len(users), -1)
    scores = torch.empty(len(users), len(movies))
    catalogue_scores(trained.model)(torch.from_numpy(users), scores)
    np.testing.assert_allclose(trained.model.scale.std * (scores - scores[:, :1]), every - every[:, :1], atol=1e-4)
    lists = suggest(trained.recommender, users, k=5)
    for user in users:
        np.testing.assert_allclose(lists.score[user], every[user, lists.movie_idx[user]], rtol=1e-4)


def test_a_new_user_is_folded_in_around_the_fifth_table(trained: Trained) -> None:
    rated = np.arange(30, dtype=np.int32)
    offsets = trained.model.side_rows("movie").offset.numpy()[rated]
    scale = trained.model.scale
    stars = scale.mean + scale.std * (offsets + 0.4)  # likes all a little more
    fold_in = FoldIn.of(trained.recommender)
    users = fold_in.solve(RatingArrays(np.zeros(30, np.int32), rated, stars), 1)
    assert float(users.offset[0]) == pytest.approx(0.4, abs=0.1)
    answers = fold_in.predict(users, np.array([45], np.int32))
    weights = trained.model.weights()
    own = weights["movie_biases"][45, 0] + weights[TABLE][45, 0] + users.vectors[0] @ weights["movie_embeddings"][45]
    expected = trained.model.in_rating_units(users.offset[0] + own).clamp(
        trained.recommender.rating_min, trained.recommender.rating_max
    )
    assert float(answers[0]) == pytest.approx(float(expected.detach()), abs=1e-5)


def test_the_lesson_shows_each_term_and_adds_up_to_what_the_saved_model_answers(
    trained: Trained, tmp_path: Path
) -> None:
    lesson = explain(trained.recommender, trained.parts, SETTINGS, adam=trained.result.adam)
    trained.recommender.save(tmp_path / "saved")
    saved = Recommender.load(tmp_path / "saved", model=WithOffsets)
    pair = saved.users.encode([lesson.user_id]), saved.movies.encode([lesson.movie_id])
    answer = float(saved.model(*(torch.from_numpy(rows.astype(np.int64)) for rows in pair)))
    assert lesson.prediction.prediction == pytest.approx(answer, abs=1e-5)
    terms = lesson.prediction.terms
    assert list(terms) == ["user_bias", "movie_bias", "user_embedding · movie_embedding", "movie_offset"]
    assert saved.model.scale.in_rating_units(sum(terms.values())) == pytest.approx(answer, abs=1e-5)
    assert [slope.name for slope in lesson.slopes][:3] == ["user_bias", "movie_bias", "movie_offset"]
    for slope in lesson.slopes:
        assert slope.gradient == pytest.approx(slope.finite_difference, rel=1e-6)
    assert any(line.startswith("movie_offset ") for _, lines in lesson_sections(lesson) for line in lines)


def test_a_saved_model_comes_back_and_is_refused_as_another_class(trained: Trained, tmp_path: Path) -> None:
    digest = trained.recommender.save(tmp_path / "saved")
    loaded = Recommender.load(tmp_path / "saved", digest=digest, model=WithOffsets)
    for name, table in trained.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], table), name
    with pytest.raises(DataError, match=r"holds the tables movie_biases, .*movie_offsets, .* class of model"):
        Recommender.load(tmp_path / "saved")


def test_a_training_that_was_stopped_resumes_to_the_same_bits(trained: Trained, tmp_path: Path) -> None:
    class Stop(BaseException):
        pass

    class Stopping(list[object]):
        def append(self, record: object) -> None:
            if isinstance(record, EpochRecord) and (record.phase, record.epoch) == ("fit", 3):
                raise Stop
            super().append(record)

    def policy() -> CheckpointPolicy:
        return CheckpointPolicy(CheckpointFolder(tmp_path / "kept"), every_seconds=0, most_share=1e9)

    with pytest.raises(Stop):
        train_on(trained.parts, Stopping(), policy())
    resumed = train_on(trained.parts, [], policy())
    for name, table in trained.model.state_dict().items():
        assert torch.equal(resumed.recommender.model.state_dict()[name], table), name
    assert torch.equal(resumed.adam.second_moments[TABLE], trained.result.adam.second_moments[TABLE])


def test_the_monitor_watches_the_fifth_table_like_the_others(trained: Trained) -> None:
    initial = next(record for record in trained.records if isinstance(record, InitialRecord))
    assert list(initial.rows) == list(WithOffsets.table_names())
    assert initial.rows[TABLE] == initial.rows["movie_biases"]
    assert sensitivity_of(WithOffsets).constant == 3
    # From zero, both movie biases have the same gradient and the same pull at every step.
    records: list[object] = []
    train_on(trained.parts, records, settings=SETTINGS.model_copy(update={"bias_start": "zero"}))
    for block in (record for record in records if isinstance(record, StepBlock)):
        np.testing.assert_allclose(block.grad_norms[TABLE], block.grad_norms["movie_biases"], rtol=1e-6)
        np.testing.assert_array_equal(block.rows_touched[TABLE], block.rows_touched["movie_biases"])
        squares = sum(norm**2 for norm in block.grad_norms.values())
        np.testing.assert_allclose(block.total_norm**2, squares, rtol=1e-5)
    for sample in (record for record in records if isinstance(record, StepSample)):
        one, other = sample.tables[TABLE], sample.tables["movie_biases"]
        np.testing.assert_array_equal(one.gradient_counts, other.gradient_counts)
        assert one.adam_step == pytest.approx(other.adam_step, rel=1e-5)


def test_archive_report_and_health_hold_the_fifth_table(trained: Trained) -> None:
    records = read_archive(trained.archive)
    history = GradientHistory.of(records)
    assert history.grad_norm(TABLE).shape == history.total_norm.shape
    assert len(history.sampled(TABLE, "update_to_weight")) == len(history.samples)
    health = judge_health(history)
    assert health.overall == "healthy", health
    page = gradient_report(records, health, title="five tables", facts={})
    assert page.count("Movie offsets") == page.count("Movie biases") > 0


def test_a_table_that_is_not_trained_is_named_by_the_health_check(trained: Trained, tmp_path: Path) -> None:
    class Forgetful(WithOffsets):
        """Its fifth table has a gradient and never moves."""

    records: list[object] = []
    import torch.optim

    moved = torch.optim.Adam.step

    def step(self: torch.optim.Adam, *args: object, **how: object) -> object:
        table = self.param_groups[0]["params"][-1]
        before = table.detach().clone()
        result = moved(self, *args, **how)  # type: ignore[arg-type]
        with torch.no_grad():
            table.copy_(before)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", step)
        train(trained.parts, SETTINGS, device=CPU, on_record=records.append, model=Forgetful)
    health = judge_health(GradientHistory.of(records))
    assert [(verdict.rule, verdict.table) for verdict in health.verdicts][:1] == [("frozen_table", TABLE)]


def test_what_a_person_watches_has_a_column_and_a_line_for_it(trained: Trained) -> None:
    epoch = next(record for record in trained.records if isinstance(record, EpochRecord))
    header, line = terminal.epoch_header(epoch.grad_norms).splitlines()[-1], terminal.describe(epoch)
    assert line is not None
    assert header.split() == [
        "epoch", "loss", "RMSE", "embeddings", "biases", "embeddings", "biases", "offsets", "per", "s",
    ]  # fmt: skip
    assert f"{epoch.grad_norms[TABLE]:.4f}" in line
    curves = {f"grad_norm/{table}": [(1, norm)] for table, norm in epoch.grad_norms.items()}
    assert png(learning_curves(curves)).startswith(b"\x89PNG")


def test_compiled_engines_say_why_they_cannot_train_it() -> None:
    assert choose("auto", CPU, WithOffsets) == (
        "autograd",
        "the fused engine cannot train this model: its step is compiled for user_embeddings, user_biases, "
        "movie_embeddings, movie_biases, and WithOffsets differs in movie_offsets",
    )
    assert choose("auto", CPU).name == "fused"
    with pytest.raises(ConfigError, match=r"'fused' cannot train this model: .*; use 'auto' or 'autograd'"):
        choose("fused", CPU, WithOffsets)
    with pytest.raises(ConfigError, match="'fused' cannot train this model"):
        choose("fused", torch.device("cuda"), WithOffsets)


def test_a_formula_of_its_own_is_not_trained_by_a_compiled_step() -> None:
    class Squashed(CollaborativeFiltering):
        """The same tables, another formula."""

        def combine(self, rows: object) -> torch.Tensor:
            return super().combine(rows).tanh()  # type: ignore[arg-type]

    choice = choose("auto", CPU, Squashed)
    assert choice.name == "autograd"
    assert choice.reason.endswith("its step is compiled for another formula than that of Squashed")
