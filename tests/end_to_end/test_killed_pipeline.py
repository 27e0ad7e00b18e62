"""The whole pipeline, killed at random moments and started again: same weights, each point once, one MLflow run."""

import random
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import held
import pytest
from held import hold, is_reached, release, told_at
from kills import Pipeline, differences, outcome_of
from mlflow import MlflowClient

KILLS = 3
#: Lines printed when the first epoch is over: five, and the header of the table.
FIRST_EPOCH = 8


@pytest.fixture(scope="module")
def whole(prefect_api: str, mlflow_store: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pipeline, int]:
    """A run that nobody killed, and how many lines it said until it was evaluated."""
    pipeline = Pipeline(tmp_path_factory.mktemp("whole"), mlflow_store, prefect_api)
    return pipeline, pipeline.run()


@pytest.fixture
def pipeline(prefect_api: str, mlflow_store: str, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(tmp_path_factory.mktemp("broken"), mlflow_store, prefect_api)


@pytest.fixture
def held_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a `held` pipeline waits for."""
    monkeypatch.setenv("HOLD", str(tmp_path / "hold"))
    return tmp_path / "hold"


def waiting(pipeline: Pipeline) -> Pipeline:
    """Return the same one, which waits where it is told to."""
    return replace(pipeline, program=(held.__file__,))


def open_run_of(pipeline: Pipeline) -> str:
    client = MlflowClient(pipeline.uri)
    experiment = client.get_experiment_by_name(pipeline.experiment)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    run_id: str = run.info.run_id
    return run_id


def status_of(pipeline: Pipeline, run_id: str) -> str:
    status: str = MlflowClient(pipeline.uri).get_run(run_id).info.status
    return status


def in_training(pipeline: Pipeline, held_at: Path) -> subprocess.Popen[bytes]:
    """Start it, and return once it waits in its third epoch."""
    hold(held_at, "training")
    process = waiting(pipeline).start()
    while not is_reached(held_at):
        assert process.poll() is None, pipeline.said.read_text()
        time.sleep(0.02)
    return process


def test_killed_at_random_moments_it_ends_like_a_run_that_was_not(
    whole: tuple[Pipeline, int], pipeline: Pipeline, held_at: Path
) -> None:
    unbroken, last = whole
    hold(held_at, "end")  # where it waits for the kill, should it get that far before
    seed = random.randrange(1000)
    chance = random.Random(seed)
    for _ in range(KILLS):
        # Not before the first epoch's line: while there is no checkpoint, another run is begun.
        assert waiting(pipeline).killed(chance, first=FIRST_EPOCH, last=last), pipeline.said.read_text()
    pipeline.run()
    assert differences(outcome_of(unbroken), outcome_of(pipeline)) == [], (seed, pipeline.said.read_text())


def test_a_terminated_run_stops_within_ten_seconds_and_is_resumed_when_asked(
    whole: tuple[Pipeline, int], pipeline: Pipeline, held_at: Path
) -> None:
    began = time.monotonic()
    process = in_training(pipeline, held_at)
    told = time.monotonic()
    process.terminate()
    process.wait()
    # It takes a second or two. Where a start takes longer than ten, other work slows both down.
    assert time.monotonic() - told < max(10, told - began)
    assert process.returncode != 0
    run_id = open_run_of(pipeline)
    ended = MlflowClient(pipeline.uri).get_run(run_id).info
    assert ended.status == "KILLED"
    assert ended.end_time / 1000 - told_at(held_at) < 10
    assert list((pipeline.folder / "data" / "checkpoints" / run_id).glob("*.safetensors"))
    said = pipeline.said.read_text()
    assert f"stopped; resume with: cfmodel run --resume {run_id}" in said
    assert "Traceback" not in said
    release(held_at)
    resumed = pipeline.start("--resume", run_id)
    assert resumed.wait() == 0, pipeline.said.read_text()
    assert open_run_of(pipeline) == run_id
    assert differences(outcome_of(whole[0]), outcome_of(pipeline)) == []
    assert not list((pipeline.folder / "data" / "checkpoints").iterdir())


def test_a_run_is_resumed_with_its_own_source_and_settings_or_not_at_all(pipeline: Pipeline, held_at: Path) -> None:
    process = in_training(pipeline, held_at)
    process.send_signal(signal.SIGKILL)
    process.wait()
    run_id = open_run_of(pipeline)
    assert pipeline.start("other.csv", "--resume", run_id).wait() == 1
    assert "a run is resumed with its own source and settings, and source would differ" in pipeline.said.read_text()
    assert status_of(pipeline, run_id) == "RUNNING"
