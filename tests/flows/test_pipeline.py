"""The whole flow with a real Prefect server and a real MLflow store, read back with their clients."""

import re
import shutil
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import FlowRun, TaskRun
from prefect.exceptions import ParameterTypeError

from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.errors import ConfigError, DataError, DigestError, TrackingError
from cfmodel.refs import RunRef
from flows.pipeline import pipeline

SOURCE = "synthetic:users=120,movies=60,ratings=3000"
Run = Callable[..., RunRef]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def run(prefect_api: str, mlflow_store: str, data_dir: Path) -> Run:
    """Run the pipeline small, with overrides."""

    def run_small(source: str = SOURCE, **overrides: Any) -> RunRef:
        small = {
            "runtime.data_dir": str(data_dir),
            "runtime.device": "cpu",
            "tracking.uri": mlflow_store,
            "train.epochs": 2,
            "train.embedding_dim": 4,
        }
        return pipeline(source, overrides=small | {name.replace("__", "."): value for name, value in overrides.items()})

    return run_small


def write_ratings(file: Path, *, residues: tuple[int, ...] = (0, 1, 2, 3)) -> None:
    """Write 800 ratings of 40 users and 20 movies, or those of some residues of four: 200 each."""
    pairs = [(user, movie) for user in range(40) for movie in range(20) if (user + movie) % 4 in residues]
    rows = [f"u{user},m{movie},{1 + (user * movie) % 5}" for user, movie in pairs]
    file.write_text("\n".join(["user_id,movie_id,rating", *rows]))


def flow_run_of(run: RunRef) -> FlowRun:
    flow_run_id = MlflowClient(run.tracking_uri).get_run(run.run_id).data.tags["prefect_flow_run_id"]
    with get_client(sync_client=True) as client:
        return client.read_flow_run(flow_run_id)


def task_runs_of(run: RunRef) -> dict[str, TaskRun]:
    this_run = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_of(run).id]))
    with get_client(sync_client=True) as client:
        return {
            task_run.name.rpartition("-")[0]: task_run for task_run in client.read_task_runs(flow_run_filter=this_run)
        }


def result_of(run: RunRef) -> str:
    """Return the description of the run on Prefect's page."""
    return result_of_flow_run(flow_run_of(run).id)


def result_of_flow_run(flow_run_id: UUID | str) -> str:
    this_run = ArtifactFilterFlowRunId(any_=[UUID(str(flow_run_id))])
    results = ArtifactFilter(flow_run_id=this_run, key=ArtifactFilterKey(any_=["result"]))
    with get_client(sync_client=True) as client:
        (artifact,) = client.read_artifacts(artifact_filter=results)
    return str(artifact.data)


def steps_of(run: RunRef) -> dict[str, str]:
    """Return whether each step was run or reused, as the MLflow run records it."""
    tags = MlflowClient(run.tracking_uri).get_run(run.run_id).data.tags
    return {name.removeprefix("step."): how for name, how in tags.items() if name.startswith("step.")}


def test_one_flow_run_is_one_mlflow_run_with_everything_in_it(run: Run, mlflow_store: str) -> None:
    finished = run()
    client = MlflowClient(mlflow_store)
    recorded = client.get_run(finished.run_id)
    assert recorded.info.status == "FINISHED"
    assert recorded.data.params["train.epochs"] == "2"
    assert recorded.data.params["source"] == SOURCE
    sections = {name.partition(".")[0] for name in recorded.data.params if name != "source"}
    assert sections == set(signature(pipeline.fn).parameters) & set(PipelineSettings.model_fields)
    assert (recorded.data.params["train.engine"], recorded.data.tags["engine"]) == ("auto", "fused")
    assert "CPU" in recorded.data.tags["engine_reason"]
    assert {"test/rmse", "test/mae", "test/damped_bias_rmse", "test/global_mean_rmse"} <= set(recorded.data.metrics)
    assert {"time/ingest_seconds", "time/split_seconds", "time/train_seconds"} <= set(recorded.data.metrics)
    assert [point.step for point in client.get_metric_history(finished.run_id, "val/rmse")] == [0, 1, 2]
    assert [dataset.dataset.digest for dataset in recorded.inputs.dataset_inputs]
    assert recorded.outputs.model_outputs
    assert flow_run_of(finished).state_name == "Completed"


def test_a_run_ends_with_a_version_and_the_decision_on_it(run: Run, mlflow_store: str) -> None:
    name = f"nightly-{uuid4().hex[:8]}"
    finished = run(promotion__model_name=name)
    client = MlflowClient(mlflow_store)
    version = client.get_model_version(name, "1")
    assert version.run_id == finished.run_id
    recorded = client.get_run(finished.run_id).data
    assert recorded.tags["promotion.verdict"] == version.tags["promotion.verdict"]
    assert recorded.metrics["promotion/rows"] == recorded.metrics["test/rows"]


def test_the_decision_is_left_to_the_command_where_that_is_set(run: Run, mlflow_store: str) -> None:
    name = f"nightly-{uuid4().hex[:8]}"
    finished = run(promotion__model_name=name, promotion__automatic=False)
    client = MlflowClient(mlflow_store)
    assert str(client.get_model_version_by_alias(name, "challenger").version) == "1"
    tags = client.get_run(finished.run_id).data.tags
    assert "promotion.verdict" not in tags
    assert f"\nPromotion: **not decided**: version 1 of {name} is the challenger" in tags["mlflow.note.content"]
    assert result_of(finished) == tags["mlflow.note.content"]


def test_the_page_shows_whether_the_model_was_promoted_and_why(run: Run, mlflow_store: str) -> None:
    name = f"nightly-{uuid4().hex[:8]}"
    learning = {"promotion__model_name": name, "train__learning_rate": 0.02}
    source = "synthetic:users=200,movies=80,ratings=8000"
    client = MlflowClient(mlflow_store)
    promoted = run(source, train__epochs=6, **learning)
    refused = run(source, train__epochs=1, **learning)
    for finished, expected in (
        (promoted, f"\nPromotion: **promoted**: version 1 of {name}, on "),
        (refused, f"\nPromotion: **refused**: version 2 of {name}, compared with version 1, the champion, on "),
    ):
        page = result_of(finished)
        assert page == client.get_run(finished.run_id).data.tags["mlflow.note.content"]
        assert expected in page
    assert "\n- not better than the champion: RMSE " in result_of(refused)


def test_a_model_that_cannot_be_compared_leaves_a_finished_run_whose_page_shows_it(run: Run, mlflow_store: str) -> None:
    name = f"nightly-{uuid4().hex[:8]}"
    first = run(promotion__model_name=name, promotion__automatic=False)
    client = MlflowClient(mlflow_store)
    # The champion's weights are damaged in the store, so that nothing can be compared with it.
    client.set_registered_model_alias(name, "champion", "1")
    location = client.get_model_version_download_uri(name, "1")
    weights = next(Path(location.removeprefix("file://")).rglob("weights.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-8] + b"\0" * 8)
    with pytest.raises(DigestError, match="changed or damaged"):
        run(promotion__model_name=name)
    recorded = client.get_run(client.get_model_version(name, "2").run_id)
    assert recorded.info.run_id != first.run_id
    assert recorded.info.status == "FINISHED"
    page = result_of_flow_run(recorded.data.tags["prefect_flow_run_id"])
    assert f"Promotion: **not decided**: version 2 of {name} is the challenger" in page
    assert page == recorded.data.tags["mlflow.note.content"]


def test_a_second_run_reuses_ingest_and_split_and_trains_anew(run: Run) -> None:
    first, second = run(), run()
    assert first.run_id != second.run_id
    steps = {"ingest": "reused", "split": "reused", "train": "run", "evaluate": "run", "report": "run"}
    assert steps_of(second) == steps
    assert re.search(r"ingest \d+\.\d s \(reused\), split \d+\.\d s \(reused\), train \d+\.\d s,", result_of(second))
    assert {task_run.state_name for task_run in task_runs_of(second).values()} == {"Completed"}


def test_other_settings_of_the_split_are_split_anew(run: Run) -> None:
    run()
    changed = run(split__seed=5)
    assert (steps_of(changed)["ingest"], steps_of(changed)["split"]) == ("reused", "run")


def test_a_reused_result_that_is_no_longer_whole_is_made_again(run: Run, data_dir: Path) -> None:
    run()
    shutil.rmtree(data_dir / "splits")
    again = run()
    assert steps_of(again)["split"] == "run"
    assert list((data_dir / "splits").glob("*/test.parquet"))


def test_a_split_that_was_made_again_elsewhere_is_found_by_its_digest(run: Run, data_dir: Path) -> None:
    finished = run(split__seed=11)
    summary = tracking.read_run(finished.tracking_uri, finished.run_id)
    before, model = tracking.data_folders(summary, data_dir)
    before.rename(before.with_name("made-again"))
    assert tracking.data_folders(summary, data_dir) == (before.with_name("made-again"), model)
    shutil.rmtree(before.with_name("made-again"))
    with pytest.raises(DigestError, match="had its data there and the folder is missing"):
        tracking.data_folders(summary, data_dir)


def test_a_file_that_changed_is_ingested_anew(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "ratings.csv"
    write_ratings(file)
    run(str(file))
    assert steps_of(run(str(file)))["ingest"] == "reused"
    file.write_text(file.read_text() + "\nu1,m99,3")
    assert steps_of(run(str(file)))["ingest"] == "run"


def test_predefined_files_are_ingested_both(run: Run, tmp_path: Path) -> None:
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    write_ratings(train, residues=(0, 1, 2))
    write_ratings(test, residues=(3,))
    finished = run(str(train), split__strategy="predefined", split__test_source=str(test))
    assert MlflowClient(finished.tracking_uri).get_run(finished.run_id).data.metrics["test/rows"] == 200
    assert "ingest-test" in task_runs_of(finished)
    assert steps_of(finished)["ingest-test"] == "run"


def test_users_who_came_after_training_are_cold_and_none_of_their_rows_is_dropped(run: Run, tmp_path: Path) -> None:
    rows = [f"u{n // 10},m{n % 10},{1 + n % 5},{n}" for n in range(1000)]
    (tmp_path / "ratings.csv").write_text("\n".join(["user_id,movie_id,rating,timestamp", *rows]))
    finished = run(str(tmp_path / "ratings.csv"), split__strategy="temporal")
    metrics = MlflowClient(finished.tracking_uri).get_run(finished.run_id).data.metrics
    assert metrics["test/rows"] == 100
    assert metrics["test/rows_cold_user"] == 100


def test_ids_of_the_wrong_kind_are_refused_and_no_number_is_reported(run: Run, tmp_path: Path) -> None:
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    write_ratings(train)
    test.write_text("user_id,movie_id,rating\n" + "\n".join(f"{user},m{user % 15},3" for user in range(40)))
    with pytest.raises(DataError, match="column user_id: 40 of 40 distinct ids"):
        run(str(train), split__strategy="predefined", split__test_source=str(test))


def test_a_misspelt_override_is_refused_before_anything_runs(run: Run) -> None:
    with pytest.raises(ConfigError, match=r"train\.epoch is not a setting; did you mean train\.epochs\?"):
        run(train__epoch=5)


def test_a_misspelt_setting_in_a_section_is_refused_before_anything_runs(prefect_api: str) -> None:
    with pytest.raises(ParameterTypeError, match=r"train\.epoch\b"):
        pipeline("synthetic", train={"epoch": 5})


def test_a_source_that_cannot_be_read_is_refused_and_leaves_no_mlflow_run(run: Run, mlflow_store: str) -> None:
    experiment = f"refused-{uuid4().hex}"
    with pytest.raises(DataError, match=r"absent\.csv"):
        run("absent.csv", tracking__experiment=experiment)
    assert MlflowClient(mlflow_store).get_experiment_by_name(experiment) is None


def test_a_training_that_fails_leaves_its_mlflow_run_failed(run: Run, mlflow_store: str) -> None:
    experiment = f"diverged-{uuid4().hex}"
    with pytest.raises(Exception, match="finite"):
        run(tracking__experiment=experiment, train__init_std=1e30, train__max_grad_norm=1e30)
    client = MlflowClient(mlflow_store)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    assert [failed.info.status for failed in client.search_runs([found.experiment_id])] == ["FAILED"]


def test_a_deleted_experiment_is_refused_before_ingest(run: Run, mlflow_store: str, tmp_path: Path) -> None:
    client = MlflowClient(mlflow_store)
    client.delete_experiment(client.create_experiment(name := f"gone-{uuid4().hex}"))
    with pytest.raises(TrackingError, match=rf"experiment '{name}' was deleted.*mlflow experiments restore"):
        run(tracking__experiment=name, runtime__data_dir=str(tmp_path / "data"))
    assert not (tmp_path / "data").exists()
