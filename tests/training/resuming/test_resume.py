"""A training that was stopped anywhere and resumed ends like one that was not: same bits, same records."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch
from compared_trainings import PATHS, digest_of_tables, without_the_clock
from hypothesis import given
from hypothesis import strategies as st

from cfmodel.config import IngestSettings, MonitorSettings, SplitSettings, TrainSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.split import split
from cfmodel.errors import CheckpointError
from cfmodel.refs import SplitRef
from cfmodel.training.epoch_records import EpochRecord, StartRecord, StepProgress
from cfmodel.training.resuming.checkpoint_policy import CheckpointPolicy
from cfmodel.training.resuming.checkpoints import CheckpointFolder
from cfmodel.training.train import TrainingResult, train

CPU = torch.device("cpu")
SETTINGS = TrainSettings(epochs=4, embedding_dim=4, patience=2)
#: A fixed interval: by default it depends on the clock.
MONITOR = MonitorSettings(sample_every=8)

#: Trains in a process of its own, which may kill itself at a progress report, and which waits for a line at the first
#: report of the second epoch.
DRIVER = """
import os, signal, sys
from pathlib import Path
import torch
from cfmodel.refs import SplitRef
from cfmodel.training.epoch_records import EpochRecord, StepProgress
from tests.training.resuming.test_resume import digest_of, trained
torch.set_num_threads(1)
ref, folder = SplitRef.model_validate_json(sys.argv[1]), Path(sys.argv[2])
last, every = int(sys.argv[3]), float(sys.argv[4])
reports, waited = 0, False
def listen(record):
    global reports, waited
    reports += isinstance(record, StepProgress)
    if isinstance(record, StepProgress) and reports == last:
        os.kill(os.getpid(), signal.SIGKILL)
    if isinstance(record, EpochRecord):
        print(record.phase, record.epoch, flush=True)
    if isinstance(record, StepProgress) and record.epoch == 2 and not waited:
        waited = True
        print("waits", flush=True)
        sys.stdin.readline()
print("digest", digest_of(trained(ref, folder, listen, every=every)), flush=True)
"""


class Killed(BaseException):
    """Ends a training like a kill: nothing is written at the end."""


def trained(
    ref: SplitRef,
    folder: Path | None,
    on_record: Callable[[Any], None],
    *,
    every: float = 0.0,
    train_settings: TrainSettings = SETTINGS,
) -> TrainingResult:
    checkpoints = None
    if folder:
        # No limit on the time for checkpoints: most are then within an epoch.
        checkpoints = CheckpointPolicy(
            CheckpointFolder(folder), identity={"data": ref.digest}, every_seconds=every, most_share=math.inf
        )
    return train(ref, train_settings, device=CPU, on_record=on_record, monitor=MONITOR, checkpoints=checkpoints)


def digest_of(result: TrainingResult) -> str:
    """Return the SHA-256 of the weights and of Adam's state."""
    weights, adam = dict(result.recommender.model.named_parameters()), result.adam
    facts = sorted(result.summary().items())
    return digest_of_tables(weights, adam.first_moments, adam.second_moments, facts=facts)


@pytest.fixture(scope="module")
def ref(tmp_path_factory: pytest.TempPathFactory) -> SplitRef:
    folder = tmp_path_factory.mktemp("data")
    data = ingest("synthetic:users=100,movies=50,ratings=2500,factors=2", IngestSettings(), folder=folder)
    return split(data, SplitSettings(), folder=folder)


@pytest.fixture(scope="module", params=["fused", "autograd"])
def unbroken(request: pytest.FixtureRequest, ref: SplitRef) -> tuple[TrainSettings, str, list[Any], int]:
    """The settings, the digest and the records of a training without interruption, and its progress reports."""
    settings = SETTINGS.model_copy(update={"engine": request.param})
    records: list[Any] = []
    digest = digest_of(trained(ref, None, records.append, train_settings=settings))
    return settings, digest, without_the_clock(records), sum(isinstance(record, StepProgress) for record in records)


@hypothesis.settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_a_training_stopped_anywhere_and_resumed_ends_with_the_same_bits_and_records(
    ref: SplitRef, unbroken: Any, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    train_settings, digest, recorded, reports = unbroken
    folder, every = tmp_path_factory.mktemp("run"), data.draw(st.sampled_from([0.02, 0.1, 3600.0]))
    for _ in range(data.draw(st.integers(1, 3))):
        last = data.draw(st.integers(1, reports))
        records: list[Any] = []

        def listen(record: Any, records: list[Any] = records, last: int = last) -> None:
            records.append(record)
            if sum(isinstance(each, StepProgress) for each in records) == last:
                raise Killed

        try:
            trained(ref, folder, listen, every=every, train_settings=train_settings)
        except Killed:
            continue
        break
    again: list[Any] = []
    assert digest_of(trained(ref, folder, again.append, every=every, train_settings=train_settings)) == digest
    assert without_the_clock(again) == recorded


def test_a_training_whose_start_is_best_resumes_to_the_same_bits_and_records(ref: SplitRef, tmp_path: Path) -> None:
    # Without initial embeddings there are no tastes, and only biases move: the start stays best.
    settings = SETTINGS.model_copy(update={"init_std": 0.0, "learning_rate": 0.1})
    records: list[Any] = []
    whole = trained(ref, None, records.append, train_settings=settings)
    assert whole.best_epoch == 0

    def listen(record: Any) -> None:
        if isinstance(record, EpochRecord) and record.epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        trained(ref, tmp_path, listen, train_settings=settings)
    again: list[Any] = []
    assert digest_of(trained(ref, tmp_path, again.append, train_settings=settings)) == digest_of(whole)
    assert without_the_clock(again) == without_the_clock(records)
    assert [record.phase for record in again if isinstance(record, StartRecord)] == ["fit"]


def test_a_finished_phase_is_not_trained_again(ref: SplitRef, tmp_path: Path) -> None:
    def listen(record: Any) -> None:
        if isinstance(record, StepProgress) and record.phase == "refit":
            raise Killed

    with pytest.raises(Killed):
        trained(ref, tmp_path, listen)
    again: list[Any] = []
    trained(ref, tmp_path, again.append)
    assert {record.phase for record in again if isinstance(record, StepProgress)} == {"refit"}


def test_a_checkpoint_of_other_data_is_refused(ref: SplitRef, tmp_path: Path) -> None:
    trained(ref, tmp_path, lambda _: None)
    other = ref.model_copy(update={"digest": "0" * 64})
    with pytest.raises(
        CheckpointError, match="a training that differs in data; resume with the same data, or start a new run"
    ):
        trained(other, tmp_path, lambda _: None)


def test_with_a_damaged_newest_checkpoint_a_training_ends_with_the_same_bits(ref: SplitRef, tmp_path: Path) -> None:
    digest = digest_of(trained(ref, None, lambda _: None))

    def listen(record: Any) -> None:
        if isinstance(record, EpochRecord) and record.epoch == 3:
            raise Killed

    with pytest.raises(Killed):
        trained(ref, tmp_path, listen)
    newest = sorted(tmp_path.glob("*.safetensors"))[-1]
    os.truncate(newest, newest.stat().st_size - 1)
    assert digest_of(trained(ref, tmp_path, lambda _: None)) == digest


def run(ref: SplitRef, folder: Path, *, last: int, every: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DRIVER, ref.model_dump_json(), str(folder), str(last), str(every)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": PATHS}
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_processes_killed_at_random_steps_end_with_the_same_bits(ref: SplitRef, tmp_path: Path) -> None:
    reports: list[Any] = []
    digest = digest_of(trained(ref, None, reports.append))
    total = sum(isinstance(record, StepProgress) for record in reports)
    chance = random.Random(0)
    for _ in range(3):
        with run(ref, tmp_path, last=chance.randrange(1, total // 2), every=0.02) as process:
            process.communicate()  # the end of its input counts as a line, too
        assert process.returncode == -signal.SIGKILL
        assert CheckpointFolder(tmp_path).newest() is not None
    with run(ref, tmp_path, last=0, every=0.02) as process:
        output, _ = process.communicate()
    assert output.splitlines()[-1] == f"digest {digest}"


def test_a_process_stopped_by_a_signal_writes_its_current_step(ref: SplitRef, tmp_path: Path) -> None:
    began = time.monotonic()
    with run(ref, tmp_path, last=0, every=3600.0) as process:
        assert process.stdout is not None
        assert (process.stdout.readline(), process.stdout.readline()) == ("fit 1\n", "waits\n")
        signalled = time.monotonic()
        process.terminate()
        output, _ = process.communicate()
    # It takes a fraction of a second. If the start took longer than ten, other programs slow both down.
    assert time.monotonic() - signalled < max(10, signalled - began)
    assert process.returncode == -signal.SIGTERM
    assert output == ""
    found = CheckpointFolder(tmp_path).newest()
    assert found is not None
    assert found["training"]["fitting"]["epoch"] == 1
    assert found["training"]["fitting"]["within"] is not None
    assert json.loads(json.dumps(found["identity"])) == {"data": ref.digest}
