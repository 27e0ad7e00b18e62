"""Remedies of refusals about training, followed."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from following import refused
from refusals import remedy_of

from cfmodel.config import SplitSettings, TrainSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import CheckpointError
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef
from cfmodel.training.batching.row_counts import RowCounts
from cfmodel.training.engines.autograd import AutogradEngine
from cfmodel.training.engines.choose import choose
from cfmodel.training.engines.step_log import StepLog
from cfmodel.training.explain import explain
from cfmodel.training.fit import fit
from cfmodel.training.planning.devices import resolve_device
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.range_test import range_test, zones_of
from cfmodel.training.resuming.adam_state import SavedAdamState
from cfmodel.training.resuming.checkpoint_policy import CheckpointPolicy
from cfmodel.training.resuming.checkpoints import FORMAT_VERSION, CheckpointFolder
from cfmodel.training.train import train

CPU = torch.device("cpu")
SMALL = TrainSettings(epochs=2, embedding_dim=2, learning_rate=0.02, refit=False)


def ratings(number: int = 400, *, spread: float = 1.0) -> RatingArrays:
    rng = np.random.default_rng(0)
    user, movie = rng.integers(0, 20, number), rng.integers(0, 20, number)
    return RatingArrays(
        user.astype(np.int32), movie.astype(np.int32), (3 + spread * np.sign(user - movie)).astype(np.float32)
    )


def plan(rated: RatingArrays, val: RatingArrays | None = None, **settings: object) -> TrainingPlan:
    chosen = SMALL.model_copy(update=settings)
    return TrainingPlan.of(rated, val, num_users=20, num_movies=20, settings=chosen, device=CPU)


@remedy_of("cfmodel/training/batching/row_counts.py", "make the split again")
def test_a_split_made_again_has_its_rows(parts: SplitRef, trained: Recommender) -> None:
    with refused("train: a rating has user row 19, but the table has rows 0 to 4; make the split again"):
        RowCounts.of(ratings(), num_users=5, num_movies=20)
    assert len(RowCounts.of(ratings(), num_users=20, num_movies=20).user) == 20


@remedy_of("cfmodel/training/planning/plan.py", "train: 0 ratings")
def test_a_split_with_training_ratings_is_planned() -> None:
    with refused("train: 0 ratings, at least 1 is needed; check the split's fractions and minimum counts"):
        plan(ratings(0))
    assert SplitSettings().test_fraction + SplitSettings().val_fraction < 1
    plan(ratings(1))


@remedy_of("cfmodel/training/engines/choose.py", "runs on the CPU and on CUDA")
@remedy_of("cfmodel/training/engines/choose.py", "cannot train this model")
def test_the_engines_that_are_named_instead_can_train_it() -> None:
    class Plain(CollaborativeFiltering):
        TERMS = CollaborativeFiltering.TERMS[:1]

    with refused("not on mps; use 'auto'"):
        choose("fused", torch.device("mps"))
    assert choose("auto", torch.device("mps")).name == "autograd"
    with refused("cannot train this model", "use 'auto' or 'autograd'"):
        choose("fused", CPU, Plain)
    assert choose("auto", CPU, Plain).name == choose("autograd", CPU, Plain).name == "autograd"


@remedy_of("cfmodel/training/planning/devices.py", "does not work ({}); use 'auto', 'cpu' or 'cuda'")
@remedy_of("cfmodel/training/planning/devices.py", "needs CUDA, but torch")
def test_the_devices_that_are_named_instead_are_there() -> None:
    with refused("'nonsense' does not work", "use 'auto', 'cpu' or 'cuda'"):
        resolve_device("nonsense")
    assert resolve_device("auto")
    if not torch.cuda.is_available():
        with refused("'cuda' needs CUDA", "or set 'cpu'"):
            resolve_device("cuda")
    assert resolve_device("cpu") == CPU


class _BreaksAtAHighRate(AutogradEngine):
    """Has a weight that is not finite after its second epoch, or before it, unless the rate is low."""

    before = False

    def run_epoch(self, epoch: int, **how: Any) -> StepLog:
        if epoch == 2 and self.before:
            self._break()
        log = super().run_epoch(epoch, **how)
        if epoch == 2:
            self._break()
        return log

    def _break(self) -> None:
        if self._plan.settings.learning_rate > 0.01:
            with torch.no_grad():
                self.model.user_biases.weight[0] = torch.nan


class _BreaksEarlier(_BreaksAtAHighRate):
    before = True


@remedy_of("cfmodel/training/engines/step_log.py", "lower train.learning_rate, and check the ratings")
@remedy_of("cfmodel/training/fitting.py", "a weight is not finite")
@remedy_of("cfmodel/training/divergence.py", "'; '.join([*parts, outcome])")
@pytest.mark.parametrize(
    ("engine", "words"),
    [
        (_BreaksAtAHighRate, "a weight is not finite after step"),
        (_BreaksEarlier, "loss or gradient is not finite from"),
    ],
)
def test_a_lower_rate_keeps_every_number_finite(
    engine: type[AutogradEngine], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cfmodel.training.fitting.engine_for", engine)
    with refused(words, "lower train.learning_rate"):
        fit(plan(ratings()))
    assert fit(plan(ratings(), learning_rate=0.003))


@remedy_of("cfmodel/training/range_test.py", "the loss falls at no learning rate")
def test_ratings_that_differ_have_a_suggestion() -> None:
    rng = np.random.default_rng(0)
    user, movie = np.divmod(rng.permutation(200 * 100)[:15_000], 100)
    liking = 0.4 * rng.standard_normal(200)[user] + 0.4 * rng.standard_normal(100)[movie] + rng.normal(0, 0.3, 15_000)

    def tested(spread: float) -> float:
        every = RatingArrays(user.astype(np.int32), movie.astype(np.int32), (3 + spread * liking).astype(np.float32))
        train, val = every[:13_500], every[13_500:]
        settings = TrainSettings(embedding_dim=2, init_std=0.01 if spread else 0.0)
        planned = TrainingPlan.of(train, val, num_users=200, num_movies=100, settings=settings, device=CPU)
        return zones_of(tuple(range_test(planned)), planned).suggestion

    with refused("check that ratings differ"):
        tested(0.0)
    assert tested(1.0) > 0


@remedy_of("cfmodel/training/explain.py", "give both --user and --movie, or neither")
@remedy_of("cfmodel/training/explain.py", "a lesson needs the true rating")
@remedy_of("cfmodel/training/explain.py", "{} {}")
@remedy_of("cfmodel/training/resuming/adam_state.py", "train again to get it")
def test_a_rating_that_there_is_can_be_explained(parts: SplitRef, tmp_path: Path) -> None:
    trained = train(parts, SMALL, device=CPU)
    made, adam = trained.recommender, tmp_path / "adam.safetensors"
    with refused("cannot be read", "train again to get it"):
        SavedAdamState.load(adam)
    trained.adam.save(adam)
    state = SavedAdamState.load(adam)

    def explained(user: str | None, movie: str | None) -> object:
        return explain(made, parts, SMALL, adam=state, user_id=user, movie_id=movie)

    user = str(made.users.ids[0])
    with refused("give both --user and --movie, or neither"):
        explained(user, None)
    assert explained(None, None)
    with refused("user id 'nobody' is not among the", "give one that the model was trained on"):
        explained("nobody", "1")
    assert made.history is not None
    seen = set(made.movies.decode(made.history.seen.cells(np.array([0]))[1]))
    other = next(id for id in made.movies.ids.to_pylist() if id not in seen)
    with refused("has not rated movie", "movies this user did rate: '") as raised:
        explained(user, other)
    assert explained(user, str(raised.value).rpartition("did rate: '")[2].split("'")[0])


@remedy_of("cfmodel/training/resuming/checkpoint_policy.py", "resume with the same {}, or start a new run")
def test_the_same_training_and_a_new_one_go_on(tmp_path: Path) -> None:
    def begun(folder: Path, data: str) -> None:
        policy = CheckpointPolicy(CheckpointFolder(folder), identity={"data": data}, every_seconds=0)
        policy.begin(policy.newest() if hasattr(policy, "newest") else CheckpointFolder(folder).newest())
        policy.save({"epoch": 1}, at_once=True)

    begun(tmp_path / "one", "a")
    with pytest.raises(CheckpointError, match="resume with the same data, or start a new run"):
        begun(tmp_path / "one", "b")
    begun(tmp_path / "one", "a")
    begun(tmp_path / "two", "b")


@remedy_of("cfmodel/training/resuming/checkpoints.py", "resume with the version that wrote it, or start a new run")
def test_a_checkpoint_of_another_version_is_read_by_that_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cfmodel.system.digests import sha256_of_file

    other = tmp_path / "other"
    safetensors.torch.save_file({}, other, metadata={"format_version": str(FORMAT_VERSION + 1), "state": "{}"})
    other.rename(tmp_path / f"00000002-{sha256_of_file(other)}.safetensors")
    with refused("a newer cfmodel wrote this checkpoint", "resume with the version that wrote it, or start a new run"):
        CheckpointFolder(tmp_path).newest()
    assert CheckpointFolder(tmp_path / "new").newest() is None
    monkeypatch.setattr("cfmodel.training.resuming.checkpoints.FORMAT_VERSION", FORMAT_VERSION + 1)
    assert CheckpointFolder(tmp_path).newest() == {}
