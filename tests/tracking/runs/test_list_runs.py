"""Lists of runs and aliased versions."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cfmodel import tracking
from cfmodel.config import TrackingSettings
from cfmodel.errors import TrackingError
from cfmodel.tracking import Run


def test_runs_of_the_pipeline_are_listed_newest_first(
    experiment: TrackingSettings, make_run: Callable[..., Run]
) -> None:
    for name in ("first", "second"):
        make_run(name)
    make_run("open", finished=False)
    tracking.end_run(tracking.start_run(experiment, name="another kind of run"))
    assert [run.run.name for run in tracking.newest_runs(experiment, limit=2)] == ["open", "second"]
    assert [run.run.name for run in tracking.newest_runs(experiment, limit=9, finished=True)] == ["second", "first"]
    last = tracking.last_completed(experiment)
    assert last is not None
    assert (last.run.name, last.status) == ("second", "FINISHED")
    assert last.seconds is not None
    assert tracking.newest_runs(experiment, limit=1)[0].seconds is None


def test_a_missing_store_has_no_runs_and_is_refused_where_one_is_required(tmp_path: Path) -> None:
    settings = TrackingSettings(uri=f"sqlite:///{tmp_path}/absent.db")
    assert tracking.newest_runs(settings, limit=1) == []
    assert tracking.aliased_versions(tracking.resolve_uri(settings)) == []
    with pytest.raises(TrackingError, match="there is no such store on this machine"):
        tracking.require_store(tracking.resolve_uri(settings))
    assert not (tmp_path / "absent.db").exists()
