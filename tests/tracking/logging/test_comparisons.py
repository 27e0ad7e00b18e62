"""`cfmodel compare` and its flow on real runs in a real store."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient

from cfmodel import tracking
from cfmodel.cli import main
from cfmodel.config import TrackingSettings
from cfmodel.errors import ConfigError, TrackingError
from cfmodel.tracking import Run
from flows.comparison import comparison


@pytest.fixture
def settings(mlflow_store: str) -> TrackingSettings:
    return TrackingSettings(uri=mlflow_store, experiment="gradients")


@pytest.fixture
def config(mlflow_store: str, tmp_path: Path) -> str:
    file = tmp_path / "cfmodel.toml"
    file.write_text(f'[tracking]\nuri = "{mlflow_store}"\nexperiment = "gradients"\n')
    return str(file)


def comparisons(run: Run) -> dict[str, str]:
    """Return the comparisons in a run's experiment: id to the ids of the runs compared."""
    found = MlflowClient(run.tracking_uri).search_runs([run.experiment_id], "tags.kind = 'comparison'")
    return {each.info.run_id: each.data.tags["compared_runs"] for each in found}


def compare(config: str, *runs: str) -> Result:
    return CliRunner().invoke(main, ["compare", "--config", config, *runs])


def test_the_command_prints_a_short_table_and_records_a_run_of_its_own(config: str, watched_runs: list[Run]) -> None:
    base, other = watched_runs
    before = comparisons(base)
    done = compare(config, base.run_id[:12], other.name)
    assert done.exit_code == 0, done.output
    assert f"base   {base.name} ({base.run_id[:6]})" in done.output
    assert f"run 2  {other.name} ({other.run_id[:6]})" in done.output
    for text in ("train.learning_rate", "best_val_rmse", "gradients apart, movie_biases", "base", "http://"):
        assert text in done.output
    (made,) = set(comparisons(base)) - set(before)
    client = MlflowClient(base.tracking_uri)
    assert comparisons(base)[made] == f"{base.run_id},{other.run_id}"
    assert client.get_run(made).info.status == "FINISHED"
    assert {entry.path for entry in client.list_artifacts(made)} == {"comparison.html", "comparison.json"}
    numbers = json.loads(Path(client.download_artifacts(made, "comparison.json")).read_text())
    assert numbers["settings"] == {"train.learning_rate": ["0.01", "3.0"]}


def test_what_is_compared_is_what_the_monitor_recorded(settings: TrackingSettings, watched_runs: list[Run]) -> None:
    found, _ = tracking.compare_runs(settings, [run.run_id for run in watched_runs])
    pair = found.differences("user_embeddings")[0]
    assert pair.progress[-1] > 0.5
    assert (pair.base.sum(axis=1) - 1).max() < 1e-12
    # A learning rate 300 times as high shows; where sampled steps do not match there is nothing to compare.
    assert np.nanmax(pair.distance) > 0.5


def test_the_flow_compares_as_the_command_does(
    prefect_api: str, settings: TrackingSettings, watched_runs: list[Run]
) -> None:
    made = comparison([run.run_id for run in watched_runs], tracking=settings)
    assert made in comparisons(watched_runs[0])


def test_a_missing_run_is_refused_before_anything_is_recorded(
    settings: TrackingSettings, watched_runs: list[Run]
) -> None:
    before = comparisons(watched_runs[0])
    with pytest.raises(TrackingError, match="no run with the id or name 'absent'"):
        tracking.compare_runs(settings, [watched_runs[0].run_id, "absent"])
    with pytest.raises(ConfigError, match="1 run cannot be compared"):
        tracking.compare_runs(settings, [watched_runs[0].run_id])
    assert comparisons(watched_runs[0]) == before


def test_the_start_of_an_id_that_several_runs_share_is_refused(
    settings: TrackingSettings, watched_runs: list[Run]
) -> None:
    starts = [run.run_id[0] for run in watched_runs]
    while len(set(starts)) == len(starts):  # 17 runs at most: there are 16 hexadecimal digits
        starts.append(tracking.start_run(settings).run_id[0])
    shared = starts[-1]
    with pytest.raises(TrackingError, match="give more characters"):
        tracking.find_run(settings, shared)


def test_a_run_without_a_monitor_has_no_gradients(settings: TrackingSettings) -> None:
    run = tracking.start_run(settings)
    tracking.end_run(run)
    assert tracking.read_gradients(run) == []
