"""The tasks that find and compare runs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cfmodel import tracking
from cfmodel.config import TrackingSettings
from tasks.compare import newest_run_ids


def test_the_newest_finished_runs_are_listed_oldest_first(
    pieces: Any, make_mlflow_store: Callable[[Path], str], tmp_path: Path, in_flow: Callable[[Callable[[], Any]], Any]
) -> None:
    settings = TrackingSettings(uri=make_mlflow_store(tmp_path))
    runs = [tracking.start_run(settings, name=str(number)) for number in range(4)]
    for run in runs:
        tracking.log_split(run, pieces.parts)
        tracking.end_run(run, "FAILED" if run is runs[3] else "FINISHED")
    assert in_flow(lambda: newest_run_ids(2, settings)) == [runs[1].run_id, runs[2].run_id]
