"""The whole pipeline, killed at random moments and started again: same weights, each point once, one MLflow run."""

import random
import signal
import time

import pytest
from kills import Pipeline, differences, outcome_of
from mlflow import MlflowClient

KILLS = 3
#: Lines printed when the first epoch is over: four, and the header of the table.
FIRST_EPOCH = 7


@pytest.fixture(scope="module")
def whole(prefect_api: str, mlflow_store: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Pipeline, int]:
    """A run that nobody killed, and how many lines it said until it was evaluated."""
    pipeline = Pipeline(tmp_path_factory.mktemp("whole"), mlflow_store, prefect_api)
    return pipeline, pipeline.run()


@pytest.fixture
def pipeline(prefect_api: str, mlflow_store: str, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return Pipeline(tmp_path_factory.mktemp("broken"), mlflow_store, prefect_api)


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


def awaited(pipeline: Pipeline, said: bytes) -> None:
    deadline = time.monotonic() + 120
    while said not in pipeline.said.read_bytes():
        assert time.monotonic() < deadline, pipeline.said.read_text()
        time.sleep(0.02)


def test_killed_at_random_moments_it_ends_like_a_run_that_was_not(
    whole: tuple[Pipeline, int], pipeline: Pipeline
) -> None:
    unbroken, last = whole
    seed = random.randrange(1000)
    chance = random.Random(seed)
    for _ in range(KILLS):
        # Not before the first epoch's line: while there is no checkpoint, another run is begun.
        assert pipeline.killed(chance, first=FIRST_EPOCH, last=last), pipeline.said.read_text()
    pipeline.run()
    assert differences(outcome_of(unbroken), outcome_of(pipeline)) == [], (seed, pipeline.said.read_text())


def test_a_terminated_run_stops_within_ten_seconds_and_is_resumed_when_asked(
    whole: tuple[Pipeline, int], pipeline: Pipeline
) -> None:
    process = pipeline.start()
    awaited(pipeline, b" 1/3 ")
    began = time.monotonic()
    process.terminate()
    process.wait(60)
    assert time.monotonic() - began < 10
    assert process.returncode != 0
    run_id = open_run_of(pipeline)
    assert status_of(pipeline, run_id) == "KILLED"
    assert list((pipeline.folder / "data" / "checkpoints" / run_id).glob("*.safetensors"))
    said = pipeline.said.read_text()
    assert f"stopped; resume with: cfmodel run --resume {run_id}" in said
    assert "Traceback" not in said
    resumed = pipeline.start("--resume", run_id)
    assert resumed.wait(120) == 0, pipeline.said.read_text()
    assert open_run_of(pipeline) == run_id
    assert differences(outcome_of(whole[0]), outcome_of(pipeline)) == []
    assert not list((pipeline.folder / "data" / "checkpoints").iterdir())


def test_a_run_is_resumed_with_its_own_source_and_settings_or_not_at_all(pipeline: Pipeline) -> None:
    process = pipeline.start()
    awaited(pipeline, b" 1/3 ")
    process.send_signal(signal.SIGKILL)
    process.wait()
    run_id = open_run_of(pipeline)
    assert pipeline.start("other.csv", "--resume", run_id).wait(60) == 1
    assert "a run is resumed with its own source and settings, and source would differ" in pipeline.said.read_text()
    assert status_of(pipeline, run_id) == "RUNNING"
