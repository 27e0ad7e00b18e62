"""A training that diverges: the error, the restored state, and the retry with a lower learning rate."""

import itertools
import logging
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from cfmodel.column_statistics import RatingScale
from cfmodel.config import IngestSettings, MonitorSettings, SplitSettings, TrainSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.data.splitting.split import split
from cfmodel.errors import DivergedError
from cfmodel.gradients.health.judge import judge_health
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import EpochGradients, InitialRecord, StepBlock, StepSample
from cfmodel.refs import SplitRef
from cfmodel.training.engines.autograd import AutogradEngine
from cfmodel.training.engines.protocol import OnProgress
from cfmodel.training.engines.step_log import StepLog
from cfmodel.training.epoch_records import EpochRecord, StepProgress
from cfmodel.training.fit import RETRY_FACTOR, fit
from cfmodel.training.planning.plan import TrainingPlan
from cfmodel.training.resuming.checkpoint_policy import CheckpointPolicy
from cfmodel.training.resuming.checkpoints import CheckpointFolder
from cfmodel.training.train import TrainingResult, train

SETTINGS = TrainSettings(epochs=5, embedding_dim=4, refit=False, engine="autograd", patience=50, schedule="constant")
RETRY = SETTINGS.model_copy(update={"on_diverged": "retry"})


class Broken(AutogradEngine):
    """An engine whose weights break in its third epoch, as long as the learning rate is that of the settings."""

    def run_epoch(self, epoch: int, **how: Any) -> StepLog:
        if epoch == 3 and self._plan.settings.learning_rate == SETTINGS.learning_rate:
            _break(self)
        return super().run_epoch(epoch, **how)


class BrokenForGood(AutogradEngine):
    """An engine whose weights break in its third epoch, whatever the learning rate."""

    def run_epoch(self, epoch: int, **how: Any) -> StepLog:
        if epoch == 3:
            _break(self)
        return super().run_epoch(epoch, **how)


class BrokenHalfway(AutogradEngine):
    """An engine whose weights break halfway through its third epoch, as long as the rate is that of the settings."""

    def run_epoch(self, epoch: int, *, on_progress: OnProgress, **how: Any) -> StepLog:
        def report(fraction: float) -> None:
            if epoch == 3 and fraction >= 0.5 and self._plan.settings.learning_rate == SETTINGS.learning_rate:
                _break(self)
            on_progress(fraction)

        return super().run_epoch(epoch, on_progress=report, **how)


def _break(engine: AutogradEngine) -> None:
    with torch.no_grad():
        engine.model.user_embeddings.weight[7] = math.inf


@pytest.fixture(scope="module")
def ref(tmp_path_factory: pytest.TempPathFactory) -> SplitRef:
    folder = tmp_path_factory.mktemp("data")
    data = ingest("synthetic:users=100,movies=50,ratings=2500,factors=2", IngestSettings(), folder=folder)
    return split(data, SplitSettings(), folder=folder)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cfmodel.training.fitting.engine_for", Broken)


@pytest.fixture
def broken_halfway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cfmodel.training.fitting.engine_for", BrokenHalfway)


@pytest.fixture
def broken_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cfmodel.training.fitting.engine_for", BrokenForGood)


def trained(
    ref: SplitRef, settings: TrainSettings, *, folder: Path | None = None, on_record: Any = lambda _: None
) -> TrainingResult:
    checkpoints = CheckpointPolicy(CheckpointFolder(folder), every_seconds=3600) if folder else None
    monitor = MonitorSettings(sample_every=8)
    return train(
        ref, settings, device=torch.device("cpu"), on_record=on_record, monitor=monitor, checkpoints=checkpoints
    )


def epochs_of(records: list[Any], kind: type) -> list[int]:
    return [record.epoch for record in records if isinstance(record, kind)]


@pytest.mark.usefixtures("broken")
def test_the_error_names_step_ids_and_remedy(ref: SplitRef, tmp_path: Path) -> None:
    with pytest.raises(DivergedError) as raised:
        trained(ref, SETTINGS, folder=tmp_path)
    message = str(raised.value)
    # Two epochs of 63 steps are done; the broken row comes up early in the third.
    assert raised.value.step is not None
    assert 126 < raised.value.step <= 189
    assert f"epoch 3: loss or gradient is not finite from step {raised.value.step} of 189 on" in message
    assert "lower train.learning_rate" in message
    assert re.search(r"the rating [\d.]+ by user '\d+' of movie '\d+' has the largest error of that step", message)
    assert "the state after epoch 2 is restored and written to" in message
    assert str(tmp_path) in message
    assert "train.on_diverged=retry" in message


@pytest.mark.usefixtures("broken")
def test_the_last_good_state_is_written(ref: SplitRef, tmp_path: Path) -> None:
    with pytest.raises(DivergedError):
        trained(ref, SETTINGS, folder=tmp_path)
    found = CheckpointFolder(tmp_path).newest()
    assert found is not None
    state = found["training"]["fitting"]
    assert state["epoch"] == 2
    two = trained(ref, SETTINGS.model_copy(update={"epochs": 2}))
    weights = {name: table.detach() for name, table in two.recommender.model.named_parameters()}
    for name, table in weights.items():
        assert torch.equal(state["now"]["weights"][name], table)
    for name, moment in two.adam.second_moments.items():
        assert torch.equal(state["now"]["second_moments"][name], moment)


@pytest.mark.usefixtures("broken")
def test_the_steps_that_diverged_are_recorded_before_the_error_is_raised(ref: SplitRef) -> None:
    records: list[Any] = []
    with pytest.raises(DivergedError):
        trained(ref, SETTINGS, on_record=records.append)
    assert epochs_of(records, StepBlock) == [1, 2, 3]
    assert epochs_of(records, EpochRecord) == [1, 2]


@pytest.mark.usefixtures("broken")
def test_a_retry_resumes_from_the_last_good_epoch_with_a_tenth_of_the_rate(
    ref: SplitRef, caplog: pytest.LogCaptureFixture
) -> None:
    records: list[Any] = []
    with caplog.at_level(logging.WARNING):
        result = trained(ref, RETRY, on_record=records.append)
    assert result.epochs == 5
    epochs = [record for record in records if isinstance(record, EpochRecord)]
    rate = SETTINGS.learning_rate
    assert [(each.epoch, each.learning_rate / rate) for each in epochs] == [
        (epoch, pytest.approx(1.0 if epoch < 3 else RETRY_FACTOR)) for epoch in range(1, 6)
    ]
    (warning,) = caplog.records
    assert "retrying from the state after epoch 2 with 0.1 of the learning rate" in warning.getMessage()


@pytest.mark.usefixtures("broken")
def test_with_a_retry_each_step_is_recorded_once(ref: SplitRef) -> None:
    records: list[Any] = []
    trained(ref, RETRY, on_record=records.append)
    assert sum(isinstance(record, InitialRecord) for record in records) == 1
    for kind in (StepBlock, EpochRecord, EpochGradients):
        assert epochs_of(records, kind) == [1, 2, 3, 4, 5]
    steps = [record.step for record in records if isinstance(record, StepSample)]
    assert all(one < two for one, two in itertools.pairwise(steps))


@pytest.mark.usefixtures("broken")
def test_a_retry_that_was_killed_ends_like_one_that_was_not(ref: SplitRef, tmp_path: Path) -> None:
    def listen(record: Any) -> None:
        if isinstance(record, EpochRecord) and record.epoch == 4:
            raise Killed

    whole = trained(ref, RETRY)
    checkpoints = CheckpointPolicy(CheckpointFolder(tmp_path), every_seconds=0.0)
    with pytest.raises(Killed):
        train(ref, RETRY, device=torch.device("cpu"), on_record=listen, checkpoints=checkpoints)
    again = trained(ref, RETRY, folder=tmp_path)
    for mine, theirs in zip(again.recommender.model.parameters(), whole.recommender.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)


class Killed(BaseException): ...


def killed_in_the_third_epoch(record: Any) -> None:
    if isinstance(record, StepProgress) and record.epoch == 3 and record.fraction >= 0.4:
        raise Killed


def always_due(folder: Path) -> CheckpointPolicy:
    return CheckpointPolicy(CheckpointFolder(folder), every_seconds=0.0, most_share=math.inf)


@pytest.mark.usefixtures("broken_halfway")
def test_a_retry_after_a_kill_within_an_epoch_begins_with_that_epoch(ref: SplitRef, tmp_path: Path) -> None:
    whole = trained(ref, RETRY)
    with pytest.raises(Killed):
        train(
            ref, RETRY, device=torch.device("cpu"), on_record=killed_in_the_third_epoch,
            checkpoints=always_due(tmp_path), monitor=MonitorSettings(sample_every=8),
        )  # fmt: skip
    found = CheckpointFolder(tmp_path).newest()
    assert found is not None
    assert found["training"]["fitting"]["within"] is not None
    records: list[Any] = []
    again = trained(ref, RETRY, folder=tmp_path, on_record=records.append)
    for mine, theirs in zip(again.recommender.model.parameters(), whole.recommender.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert epochs_of(records, StepBlock) == epochs_of(records, EpochRecord) == [1, 2, 3, 4, 5]


@pytest.mark.usefixtures("broken_halfway")
def test_no_state_with_a_number_that_is_not_finite_is_written(ref: SplitRef, tmp_path: Path) -> None:
    checkpoints = always_due(tmp_path)
    with pytest.raises(DivergedError, match="the state after epoch 2 is restored"):
        train(
            ref, SETTINGS, device=torch.device("cpu"), monitor=MonitorSettings(sample_every=8), checkpoints=checkpoints
        )
    newest = CheckpointFolder(tmp_path).newest()
    assert newest is not None
    assert (newest["training"]["fitting"]["epoch"], newest["training"]["fitting"]["within"]) == (2, None)
    kept = sorted(tmp_path.glob("*.safetensors"))
    assert len(kept) == 3
    within = 0
    for path in kept:
        tensors = safetensors.torch.load_file(path)
        within += any("/within/" in name for name in tensors)
        assert all(tensor.isfinite().all() for tensor in tensors.values())
    assert within == 2


@pytest.mark.usefixtures("broken_halfway")
def test_the_state_within_an_epoch_that_was_resumed_is_restored(ref: SplitRef, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        train(
            ref, SETTINGS, device=torch.device("cpu"), on_record=killed_in_the_third_epoch,
            checkpoints=always_due(tmp_path), monitor=MonitorSettings(sample_every=8),
        )  # fmt: skip
    with pytest.raises(DivergedError, match=r"the state after epoch 2 and 2[0-9] steps of the next is restored and"):
        trained(ref, SETTINGS, folder=tmp_path)


@pytest.mark.usefixtures("broken_for_good")
def test_there_is_only_one_retry(ref: SplitRef, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DivergedError, match="the state after epoch 2 is restored") as raised:
        trained(ref, RETRY)
    assert len([record for record in caplog.records if "with 0.1 of the learning rate" in record.getMessage()]) == 1
    assert "train.on_diverged=retry" not in str(raised.value)


def with_an_outlier(rating: float) -> RatingArrays:
    """920 ratings from 1 to 5, and among them one by user 20 of movie 8."""
    number = np.arange(920)
    ratings = (1 + number % 5).astype(np.float64)
    ratings[100] = rating
    return RatingArrays((number % 40).astype(np.int32), (number % 23).astype(np.int32), ratings)


@pytest.mark.parametrize("rating", [1e30, 1e200])
def test_a_rating_far_outside_its_scale_does_not_diverge_and_the_health_check_names_it(rating: float) -> None:
    records: list[Any] = []
    plan = TrainingPlan.of(
        with_an_outlier(rating),
        None,
        num_users=40,
        num_movies=23,
        settings=TrainSettings(epochs=2),
        device=torch.device("cpu"),
    )
    model = fit(plan, on_record=records.append).model
    assert bool(model(torch.arange(23), torch.arange(23)).isfinite().all())
    verdict = next(
        verdict for verdict in judge_health(GradientHistory.of(records)).verdicts if verdict.rule == "outlier_labels"
    )
    assert "differs from its prediction by 29.9 standard deviations" in verdict.message
    assert verdict.ids == ("user row 20", "movie row 8")


@pytest.mark.parametrize("engine", ["fused", "autograd"])
def test_a_rating_that_overflows_is_named(engine: str) -> None:
    settings = TrainSettings(epochs=1, engine=engine)  # type: ignore[arg-type]
    with pytest.raises(DivergedError, match=r"the rating 1e\+30 by user 'u20' of movie 'm8' is far outside"):
        fit(
            TrainingPlan.of(
                with_an_outlier(1e30),
                None,
                num_users=40,
                num_movies=23,
                settings=settings,
                device=torch.device("cpu"),
                scale=RatingScale(),
            ),
            ids=lambda user, movie: (f"u{user}", f"m{movie}"),
        )
