"""`cfmodel runs`: which runs it lists, and the line of each."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from mlflow import MlflowClient
from rich.console import Console

from cfmodel import tracking
from cfmodel.commands.runs import list_runs
from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.splitting.split import split
from cfmodel.errors import TrackingError


@pytest.fixture(scope="module")
def settings(make_mlflow_store: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory) -> TrackingSettings:
    """A store with a finished run that is champion, a failed one, a comparison and one of another experiment."""
    folder = tmp_path_factory.mktemp("runs")
    defaults = PipelineSettings()
    parts = split(
        ingest("synthetic:users=50,movies=30,ratings=600", defaults.ingest, folder=folder),
        defaults.split,
        folder=folder,
    )
    settings = TrackingSettings(uri=make_mlflow_store(folder))

    def begun(name: str, experiment: str = "cfmodel") -> tracking.Run:
        run = tracking.start_run(settings.model_copy(update={"experiment": experiment}), name=name)
        tracking.log_settings(run, defaults, source=parts.source)
        tracking.log_split(run, parts)
        return run

    good, bad, elsewhere = begun("good"), begun("bad"), begun("elsewhere", "other")
    tracking.log_metrics(good, {"test/rmse": 0.91234, "test/damped_bias_rmse": 0.95})
    tracking.set_tags(good, {"health.verdict": "healthy", tracking.INPUTS_DIGEST: "abc"})
    tracking.end_run(good)
    tracking.end_run(bad, "FAILED")
    tracking.end_run(elsewhere)
    tracking.end_run(tracking.start_run(settings, name="comparison", tags={"kind": "comparison"}))
    client = MlflowClient(settings.uri)
    client.create_registered_model("cfmodel")
    version = client.create_model_version("cfmodel", str(folder), run_id=good.run_id)
    client.set_registered_model_alias("cfmodel", "champion", version.version)
    return settings


def listing(settings: TrackingSettings, *, limit: int = 10, width: int = 80) -> tuple[list[tracking.ListedRun], str]:
    console = Console(file=StringIO(), width=width)
    runs = list_runs(settings, limit=limit, console=console)
    assert isinstance(console.file, StringIO)
    return runs, console.file.getvalue()


def test_runs_of_the_pipeline_are_listed_newest_first_and_no_others(settings: TrackingSettings) -> None:
    assert [run.run.name for run in listing(settings)[0]] == ["bad", "good"]
    assert [run.run.name for run in listing(settings, limit=1)[0]] == ["bad"]


def test_a_line_has_status_error_and_health_of_a_run_and_marks_the_champion(settings: TrackingSettings) -> None:
    runs, shown = listing(settings, width=120)
    (line,) = [line for line in shown.splitlines() if runs[1].run.run_id[:8] in line]
    for expected in ("finished", "0.9123", "0.9500", "healthy", "champion", "synthetic:users=50,movies=30,ratings=600"):
        assert expected in line
    assert "failed" in shown


def test_a_run_takes_one_line_of_80_columns(settings: TrackingSettings) -> None:
    _, shown = listing(settings)
    assert len([line for line in shown.splitlines() if line.strip()]) == 2 + 2  # header, rule, two runs
    assert max(map(len, shown.splitlines())) <= 80


def test_of_a_long_path_the_end_is_shown(settings: TrackingSettings) -> None:
    elsewhere = settings.model_copy(update={"experiment": "of-paths"})
    run = tracking.start_run(elsewhere, tags={"split_digest": "a"})
    tracking.log_settings(run, PipelineSettings(), source="/a/folder/of/exports/monday.csv")
    tracking.end_run(run)
    _, shown = listing(elsewhere, width=84)
    (line,) = [line for line in shown.splitlines() if run.run_id[:8] in line]
    assert line.rstrip().endswith("…ts/monday.csv")


def test_an_error_on_other_ratings_than_the_newest_runs_has_a_star(settings: TrackingSettings) -> None:
    assert "*" not in listing(settings, width=120)[1]
    elsewhere = settings.model_copy(update={"experiment": "of-two-splits"})
    for digest in ("a", "b", "b"):
        run = tracking.start_run(elsewhere, tags={"split_digest": digest})
        tracking.log_metrics(run, {"test/rmse": 0.9, "test/damped_bias_rmse": 0.95})
        tracking.end_run(run)
    _, shown = listing(elsewhere)
    assert [line.count("*") for line in shown.splitlines() if "finished" in line] == [0, 0, 2]
    assert "* on other ratings than the newest run, so not comparable with it" in shown


def test_without_a_store_or_runs_it_prints_so_and_creates_nothing(tmp_path: Path) -> None:
    runs, shown = listing(TrackingSettings(uri=f"sqlite:///{tmp_path}/none.db"))
    assert runs == []
    assert "start one with `cfmodel run`" in shown.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


def test_the_last_completed_run_is_the_one_that_finished(settings: TrackingSettings) -> None:
    last = tracking.last_completed(settings)
    assert last is not None
    assert last.run.name == "good"
    assert last.tags[tracking.INPUTS_DIGEST] == "abc"


def test_a_run_is_compared_with_the_champion_and_the_champion_with_the_one_before(
    make_mlflow_store: Callable[[Path], str], tmp_path: Path
) -> None:
    settings = TrackingSettings(uri=make_mlflow_store(tmp_path))
    runs = [tracking.start_run(settings, name=name) for name in ("before", "champion", "new")]
    assert tracking.champion_besides(settings, runs[2].run_id, model_name="cfmodel") is None
    client = MlflowClient(settings.uri)
    client.create_registered_model("cfmodel")
    numbers = [client.create_model_version("cfmodel", "nowhere", run_id=run.run_id).version for run in runs[:2]]
    client.set_registered_model_alias("cfmodel", "champion", numbers[0])
    assert tracking.champion_besides(settings, runs[0].run_id, model_name="cfmodel") is None
    client.set_registered_model_alias("cfmodel", "champion", numbers[1])
    client.set_model_version_tag("cfmodel", numbers[1], tracking.PREVIOUS_CHAMPION, numbers[0])
    for run, expected in ((runs[2], "champion"), (runs[1], "before")):
        found = tracking.champion_besides(settings, run.run_id, model_name="cfmodel")
        assert found is not None
        assert found.run.name == expected
    assert tracking.champion_besides(settings, runs[2].run_id, model_name="another") is None


def test_a_store_must_be_there_unless_it_may_be_made(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(TrackingError, match="no such store on this machine"):
        tracking.require_store(uri)
    tracking.require_store(uri, create=True)
    tracking.require_store(uri)
