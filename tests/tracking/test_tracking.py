"""A real MLflow store on SQLite, read back with MLflow's own client."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow_servers import free_port, hung_server

import cfmodel
from cfmodel import tracking
from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import TrackingError
from cfmodel.evaluation.evaluate import Evaluation
from cfmodel.evaluation.slices import error_by_popularity, predicted_against_true
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef
from cfmodel.tracking import Run
from cfmodel.training.epoch_records import TABLES, EpochRecord, Phase, StepProgress

START = """
import sys
from cfmodel import tracking
from cfmodel.config import TrackingSettings
run = tracking.start_run(TrackingSettings(uri=sys.argv[1]))
tracking.end_run(run)
"""

ASK = """
import json, sys
for name in ("flows", "tasks", "prefect"):
    sys.modules[name] = None
import mlflow
import pandas as pd
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
print(json.dumps([float(value) for value in model.predict(pd.DataFrame(json.loads(sys.argv[3])))]))
assert "torch._dynamo" not in sys.modules  # torch's compiler, which takes longer to import than all of this
"""


@dataclass(frozen=True)
class Store:
    """A store two processes created at once, and what they said."""

    uri: str
    statuses: list[int]
    said: str

    @property
    def client(self) -> mlflow.MlflowClient:
        return mlflow.MlflowClient(tracking_uri=self.uri)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{folder}/kept/mlflow.db"
    command = [sys.executable, "-W", "error", "-c", START, uri]
    processes = [
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    said = "".join(process.communicate()[0] for process in processes)
    return Store(uri, [process.returncode for process in processes], said)


@pytest.fixture(autouse=True)
def _nothing_is_written_to_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    yield
    assert not list(folder.iterdir())


@pytest.fixture
def run(store: Store) -> Run:
    return tracking.start_run(TrackingSettings(uri=store.uri), tags={"device": "cpu"})


@pytest.fixture(scope="module")
def recorded(store: Store, recommender: Recommender, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, str]:
    """Return a run and the address of the model recorded in it."""
    run = tracking.start_run(TrackingSettings(uri=store.uri))
    folder = tmp_path_factory.mktemp("saved") / "recommender"
    recommender.save(folder)
    return run, tracking.log_model(run, folder)


@pytest.fixture
def model(store: Store, recorded: tuple[Run, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load the recorded model the way a user of MLflow does."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    return mlflow.pyfunc.load_model(recorded[1])


def epoch(number: int, phase: Phase = "fit", *, val_rmse: float | None = 0.9, best: bool = False) -> EpochRecord:
    return EpochRecord(
        phase=phase,
        epoch=number,
        epochs=5,
        step=10 * number,
        train_loss=1.0 / number,
        train_rmse=0.8,
        val_rmse=val_rmse,
        best=best,
        learning_rate=0.001,
        grad_norms=dict.fromkeys(TABLES, 0.25),
        total_grad_norm=0.5,
        clipped_fraction=0.1,
        seconds=0.2,
        ratings_per_second=1e6,
    )


def history(store: Store, run: Run, key: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in store.client.get_metric_history(run.run_id, key)]


def test_two_processes_create_one_store_at_once_without_a_word(store: Store) -> None:
    assert (store.statuses, store.said) == ([0, 0], "")
    runs = store.client.search_runs([store.client.get_experiment_by_name("cfmodel").experiment_id])
    assert len([run for run in runs if run.info.status == "FINISHED"]) >= 2


def test_artifacts_lie_beside_the_database(store: Store, run: Run) -> None:
    folder = Path(store.uri.removeprefix("sqlite:///")).parent
    assert store.client.get_run(run.run_id).info.artifact_uri.startswith((folder / "mlruns").as_uri())


def test_a_run_says_which_code_made_it_and_what_the_caller_adds(store: Store, run: Run) -> None:
    tags = tracking.read_run(store.uri, run.run_id).tags
    assert tags["cfmodel_version"] == cfmodel.__version__
    assert tags["device"] == "cpu"
    checkout = Path(cfmodel.__file__).parent.parent
    if (checkout / ".git").exists():
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True)
        assert tags["commit"].removesuffix("-dirty") == head.stdout.strip()


def test_a_run_is_named_by_the_caller_else_by_its_settings(store: Store) -> None:
    settings = TrackingSettings(uri=store.uri, run_name="nightly")
    assert tracking.start_run(settings).name == "nightly"
    assert tracking.start_run(settings, name="by hand").name == "by hand"


def test_every_setting_of_a_run_is_a_parameter(store: Store, run: Run) -> None:
    settings = PipelineSettings.of(overrides={"train.epochs": 7, "tracking.uri": "http://me@host:5000"})
    tracking.log_settings(run, settings, source="ratings.csv")
    params = tracking.read_run(store.uri, run.run_id).params
    others = {name for name in settings.flat() if name.startswith(("scoring.", "keep."))}
    assert set(params) == {"source", *settings.flat()} - others
    assert (params["source"], params["train.epochs"], params["train.batch_size"]) == ("ratings.csv", "7", "null")
    assert (params["train.refit"], params["evaluation.k"]) == ("true", "[10]")
    assert params["tracking.uri"] == "http://***@host:5000"


def test_other_settings_for_the_same_run_are_refused(run: Run) -> None:
    tracking.log_settings(run, PipelineSettings(), source="a.csv")
    tracking.log_settings(run, PipelineSettings(), source="a.csv")
    with pytest.raises(TrackingError, match="Changing param values is not allowed"):
        tracking.log_settings(run, PipelineSettings(), source="b.csv")


def test_the_parts_of_the_split_are_inputs_with_their_digests(store: Store, run: Run, split: SplitRef) -> None:
    tracking.log_split(run, split)
    found = store.client.get_run(run.run_id)
    rows = {}
    for given in found.inputs.dataset_inputs:
        assert given.dataset.digest == split.digest[:36]
        assert json.loads(given.dataset.schema)["mlflow_colspec"][0]["name"] == "user_id"
        part = {tag.key: tag.value for tag in given.tags}["mlflow.data.context"]
        assert json.loads(given.dataset.source)["uri"].endswith(f"{part}.parquet")
        rows[part] = json.loads(given.dataset.profile)["num_rows"]
    assert rows == {"train": 80, "val": 10, "test": 20}
    assert (found.data.tags["data_digest"], found.data.tags["split_digest"]) == (split.data_digest, split.digest)
    assert "80 train, 10 val and 20 test ratings" in found.data.tags["mlflow.note.content"]


def test_epochs_become_metrics_by_step_and_the_refit_has_its_own(store: Store, run: Run) -> None:
    with tracking.recorder(run) as record:
        for number, rmse in ((1, 0.95), (2, 0.91), (3, 0.92)):
            record(StepProgress("fit", number, 5, 0.5))
            record(epoch(number, val_rmse=rmse, best=number < 3))
        for number in (1, 2):
            record(epoch(number, "refit", val_rmse=None))
    assert history(store, run, "train/loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert history(store, run, "val/rmse") == [(1, 0.95), (2, 0.91), (3, 0.92)]
    assert history(store, run, "refit/train/loss") == [(1, 1.0), (2, 0.5)]
    metrics = tracking.read_run(store.uri, run.run_id).metrics
    assert (metrics["best_val_rmse"], metrics["best_epoch"]) == (0.91, 2.0)
    assert "refit/val/rmse" not in metrics
    norms = {f"grad_norm/{name}" for name in (*TABLES, "total")}
    rates = {"train/rmse", "train/learning_rate", "train/clipped_fraction", "time/epoch_seconds"}
    assert norms | rates | {"time/ratings_per_second"} <= set(metrics)


def test_a_recorder_on_a_store_that_is_gone_never_raises_before_the_end(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    record = tracking.recorder(replace(run, tracking_uri=_nobody_listens()), flush_seconds=0)
    record(epoch(1, best=True))
    record(epoch(2))
    assert len(caplog.records) == 1
    with pytest.raises(TrackingError, match=r"entries about run \w+ were not recorded; the training is not affected"):
        record.close()


def test_a_server_that_is_not_there_is_named_within_seconds() -> None:
    # At the first try, that is: MLflow by itself tries again and again for minutes.
    with hung_server(hangs_up=True) as (uri, calls):
        with pytest.raises(TrackingError, match="starting a run failed: "):
            tracking.start_run(TrackingSettings(uri=uri))
        assert len(calls) == 1
    uri = _nobody_listens()
    with pytest.raises(TrackingError, match="starting a run failed: ") as refusal:
        tracking.start_run(TrackingSettings(uri=uri))
    assert str(refusal.value).startswith(f"{uri}: ")
    assert "start the server there" in str(refusal.value)


def test_a_plain_folder_is_refused_with_the_remedy(tmp_path: Path) -> None:
    for uri in (str(tmp_path / "mlruns"), (tmp_path / "mlruns").as_uri()):
        with pytest.raises(TrackingError, match=r"set tracking\.uri to sqlite:///mlflow\.db"):
            tracking.start_run(TrackingSettings(uri=uri))


def test_a_file_that_is_no_database_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("these are notes, not a database, and long enough to look at\n" * 20)
    with pytest.raises(TrackingError, match="starting a run failed: file is not a database; check that"):
        tracking.start_run(TrackingSettings(uri=f"sqlite:///{path}"))


def test_a_password_in_the_address_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = _nobody_listens().replace("http://", "http://me:secret@")
    with pytest.raises(TrackingError) as refusal:
        tracking.read_run(address, "0" * 32)
    assert "secret" not in str(refusal.value)
    assert "//***@127.0.0.1" in str(refusal.value)


def test_an_unknown_run_is_refused(store: Store) -> None:
    with pytest.raises(TrackingError, match="reading run no-such failed"):
        tracking.read_run(store.uri, "no-such")


@pytest.mark.parametrize(
    ("raised", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED"), (SystemExit, "KILLED")]
)
def test_an_error_ends_the_run_as_failed_and_a_cancel_as_killed(
    store: Store, run: Run, raised: type[BaseException], status: str
) -> None:
    with pytest.raises(raised), tracking.ended_on_error(run):
        raise raised
    assert tracking.read_run(store.uri, run.run_id).status == status


def test_a_run_stays_open_until_it_is_ended(store: Store, run: Run) -> None:
    with tracking.ended_on_error(run):
        tracking.log_metrics(run, {"test/rmse": 0.9})
    assert tracking.read_run(store.uri, run.run_id).status == "RUNNING"
    tracking.end_run(run)
    summary = tracking.read_run(store.uri, run.run_id)
    assert (summary.status, summary.metrics, summary.run) == ("FINISHED", {"test/rmse": 0.9}, run)


def test_the_recorded_model_answers_the_same_in_a_fresh_process_without_pickle(
    store: Store, recorded: tuple[Run, str], recommender: Recommender, tmp_path: Path
) -> None:
    pairs = {"user_id": ["007", "ann", "7"], "movie_id": ["1", "4", "2"]}
    answers = _ask_in_a_fresh_process(store.uri, recorded[1], pairs, tmp_path)
    np.testing.assert_allclose(answers, recommender.predict(**_plural(pairs)), atol=1e-6)


def test_the_recorded_model_is_found_by_its_run(
    store: Store, recorded: tuple[Run, str], model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    by_run = mlflow.pyfunc.load_model(f"runs:/{recorded[0].run_id}/recommender")
    example = model.input_example
    np.testing.assert_array_equal(by_run.predict(example), model.predict(example))


def test_the_recorded_model_holds_no_code_and_no_pickle(store: Store, recorded: tuple[Run, str]) -> None:
    location = store.client.get_logged_model(recorded[1].removeprefix("models:/")).artifact_location
    folder = Path(location.removeprefix("file://"))
    suffixes = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert suffixes <= {"", ".json", ".yaml", ".txt", ".parquet", ".safetensors"}
    pins = (folder / "requirements.txt").read_text().split()
    assert {pin.partition("==")[0] for pin in pins} >= {"cfmodel", "torch", "mlflow", "pyarrow", "safetensors"}
    assert all("==" in pin and "+" not in pin for pin in pins)


def test_an_integer_id_means_its_decimal_text(model: Any, recommender: Recommender) -> None:
    answer = model.predict(pd.DataFrame({"user_id": [7, 7], "movie_id": [1, 2]}))
    np.testing.assert_allclose(answer, recommender.predict(["7", "7"], ["1", "2"]), atol=1e-6)


def test_unknown_ids_get_the_fallback_and_a_warning_where_all_are_unknown(model: Any, recommender: Recommender) -> None:
    some = model.predict(pd.DataFrame({"user_id": ["ann", "zoe"], "movie_id": ["1", "1"]}))
    np.testing.assert_allclose(some[1], 3.5 + _bias(recommender, "1"), atol=1e-6)
    with pytest.warns(UserWarning, match="none of the 1 ids in (user|movie)_id is known"):
        model.predict(pd.DataFrame({"user_id": ["zoe"], "movie_id": ["nowhere"]}))


def test_a_request_without_movies_is_answered_with_recommendations(model: Any, recommender: Recommender) -> None:
    answer = model.predict(pd.DataFrame({"user_id": ["ann"]}), params={"k": 2})
    assert answer["rank"].tolist() == [1, 2]
    assert len(model.predict(pd.DataFrame({"user_id": ["ann"]}))) == len(recommender.movies)  # fewer than 10


def test_a_recorded_model_that_answers_otherwise_is_marked_failed(
    store: Store, recommender: Recommender, tmp_path: Path
) -> None:
    run = tracking.start_run(TrackingSettings(uri=store.uri))
    recommender.save(tmp_path / "saved")
    uri = tracking.log_model(run, tmp_path / "saved")
    tracking.check_model(run, uri, recommender)
    other = CollaborativeFiltering(3, 4, 8, global_mean=2.0)
    with pytest.raises(TrackingError, match="do not use it"):
        tracking.check_model(run, uri, replace(recommender, model=other))
    assert store.client.get_logged_model(uri.removeprefix("models:/")).status == "FAILED"


def test_an_evaluation_is_recorded_with_its_card_and_plots(store: Store, run: Run, tmp_path: Path) -> None:
    with tracking.recorder(run) as record:
        record(epoch(1, best=True))
        record(epoch(2))
    tracking.log_evaluation(run, _evaluation())
    assert tracking.read_run(store.uri, run.run_id).metrics["test/ndcg_at_10"] == 0.3
    assert store.client.download_artifacts(run.run_id, "metric_card.md", str(tmp_path))
    assert (tmp_path / "metric_card.md").read_text() == "# Card\n"
    plots = {artifact.path: artifact.file_size for artifact in store.client.list_artifacts(run.run_id, "plots")}
    assert set(plots) == {f"plots/{name}.png" for name in PLOTS}
    assert min(plots.values()) > 10_000


PLOTS = ("learning_curves", "predicted_against_true", "error_by_popularity")


def test_links_lead_to_the_training_view(store: Store, run: Run) -> None:
    view = f"http://127.0.0.1:5001/#/experiments/{run.experiment_id}/runs?workflowType=machine_learning"
    assert tracking.experiment_url(run, port=5001) == view
    assert tracking.training_view(TrackingSettings(uri=store.uri), port=5001) == view
    served = replace(run, tracking_uri="https://mlflow.example/")
    assert (
        tracking.run_url(served)
        == f"https://mlflow.example/#/experiments/{run.experiment_id}/runs/{run.run_id}?workflowType=machine_learning"
    )


def test_the_address_is_the_setting_else_the_environment_else_a_file_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Path.cwd()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking.resolve_uri(TrackingSettings()) == f"sqlite:///{here}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///runs/a.db?timeout=5")
    assert tracking.resolve_uri(TrackingSettings()) == f"sqlite:///{here}/runs/a.db?timeout=5"
    assert tracking.resolve_uri(TrackingSettings(uri="http://host:5000")) == "http://host:5000"
    assert tracking.resolve_uri(TrackingSettings(uri=f"sqlite:///{tmp_path}/b.db")) == f"sqlite:///{tmp_path}/b.db"


@pytest.mark.parametrize(
    ("given", "disabled"),
    [
        ({}, True),
        ({"DO_NOT_TRACK": "1"}, True),
        ({"DO_NOT_TRACK": "false"}, False),
        ({"MLFLOW_DISABLE_TELEMETRY": "false"}, False),
    ],
)
def test_usage_reporting_is_off_unless_asked_for(
    given: dict[str, str], disabled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cfmodel.tracking import store as connection

    for name in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY"):
        monkeypatch.setenv(name, "")  # so that whatever is set below is taken back
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    connection.set_defaults()
    assert (os.environ.get("MLFLOW_DISABLE_TELEMETRY", "false") == "true") is disabled


def test_importing_tracking_imports_neither_mlflow_nor_torch() -> None:
    code = "import sys, cfmodel.tracking; assert not {'mlflow', 'torch', 'pandas', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def _nobody_listens() -> str:
    return f"http://127.0.0.1:{free_port()}"


def _ask_in_a_fresh_process(uri: str, model: str, pairs: dict[str, list[str]], folder: Path) -> list[float]:
    environment = {**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    command = [sys.executable, "-W", "default", "-c", ASK, uri, model, json.dumps(pairs)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    answers: list[float] = json.loads(done.stdout)
    return answers


def _plural(pairs: dict[str, list[str]]) -> dict[str, list[str]]:
    return {"user_ids": pairs["user_id"], "movie_ids": pairs["movie_id"]}


def _bias(recommender: Recommender, movie_id: str) -> float:
    return float(recommender.model.movie_biases.weight.detach()[recommender.movies.row_of(movie_id), 0])


def _evaluation() -> Evaluation:
    generator = np.random.default_rng(0)
    ratings = generator.integers(1, 6, 400).astype(np.float32)
    predictions = np.clip(3 + 0.5 * (ratings - 3) + generator.normal(0, 0.5, 400), 1, 5).astype(np.float32)
    movies = generator.integers(0, 40, 400).astype(np.int32)
    test = RatingArrays(np.zeros(400, np.int32), movies, ratings, None)
    return Evaluation(
        metrics={"test/rmse": 0.9, "test/ndcg_at_10": 0.3},
        metric_card="# Card\n",
        predicted_against_true=predicted_against_true(ratings, predictions, rating_min=1.0, rating_max=5.0),
        error_by_popularity=error_by_popularity(test, predictions, counts=np.arange(40)),
        relevance_threshold=4.0,
        seconds=0.1,
    )
