"""Recorded models, loaded by version, alias or run."""

from pathlib import Path

import pytest
from teams import Team

from cfmodel import tracking
from cfmodel.config import PipelineSettings
from cfmodel.errors import TrackingError


def test_a_model_is_loaded_by_version_and_run_and_by_default_the_champion(team: Team) -> None:
    run, _ = team.trained(epochs=1)
    assert tracking.load_model(team.settings).name == f"the model of run {run.name}"
    first, second = team.challenger(epochs=4), team.challenger(epochs=2)
    tracking.promote(team.settings, first.number)
    assert tracking.load_model(team.settings).name == f"{team.name} version 1 (champion)"
    assert tracking.load_model(team.settings, "2").run.run.run_id == second.run_id
    assert tracking.load_model(team.settings, "challenger").version == "2"
    by_run = tracking.load_model(team.settings, run.run_id)
    assert (by_run.version, by_run.run.run.run_id) == (None, run.run_id)


def test_a_missing_store_is_named_with_what_to_do(tmp_path: Path) -> None:
    settings = PipelineSettings.of(overrides={"tracking.uri": f"sqlite:///{tmp_path}/absent.db"})
    with pytest.raises(TrackingError, match=r"absent\.db: there is no such store yet; run `cfmodel run` first"):
        tracking.load_model(settings)
    assert not (tmp_path / "absent.db").exists()
