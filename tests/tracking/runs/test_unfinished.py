"""Runs to resume, as the store and this disk know them."""

from pathlib import Path

from mlflow_servers import free_address

from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.tracking.runs.leases import Heartbeat
from cfmodel.tracking.runs.unfinished import checkpoints_folder, named_candidate, status_of, unfinished_candidates


def settings_of(uri: str, data_dir: Path) -> PipelineSettings:
    return PipelineSettings.of(
        overrides={"tracking.uri": uri, "runtime.data_dir": str(data_dir), "tracking.experiment": f"at-{data_dir.name}"}
    )


def test_runs_of_the_same_flow_run_come_first_then_the_newest(mlflow_store: str, tmp_path: Path) -> None:
    settings = settings_of(mlflow_store, tmp_path)
    lease = Heartbeat.now().as_tag()
    ours, older, newer = (
        tracking.start_run(settings.tracking, tags=lease | tags).run_id
        for tags in ({"prefect_flow_run_id": "f1"}, {}, {})
    )
    tracking.start_run(settings.tracking, name="without a lease")
    found = [each.summary.run.run_id for each in unfinished_candidates(settings, "f1")]
    assert found == [ours, newer, older]
    assert unfinished_candidates(settings, None)[0].summary.run.run_id == newer


def test_while_the_store_is_away_runs_are_found_on_this_disk(tmp_path: Path) -> None:
    settings = settings_of(free_address(), tmp_path)
    run = tracking.start_run(settings.tracking, journals=tracking.journals_folder(tmp_path))
    assert unfinished_candidates(settings, None) == []  # without checkpoints
    checkpoints_folder(tmp_path, run.run_id).mkdir(parents=True)
    (found,) = unfinished_candidates(settings, None)
    assert (found.summary.run, found.journal) == (run, run.journal_folder)
    assert named_candidate(settings, run.run_id) == found
    assert status_of(run) == "RUNNING"
    tracking.end_run(run, "KILLED")
    assert unfinished_candidates(settings, None) == []
    assert named_candidate(settings, run.run_id).lease_tags == {}
