"""Runs found by id, by name, or the newest."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cfmodel import tracking
from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.errors import DigestError, TrackingError
from cfmodel.tracking import Run


def test_a_run_is_found_by_id_start_of_id_and_name_and_by_default_the_newest_finished(
    experiment: TrackingSettings, make_run: Callable[..., Run]
) -> None:
    first, second, _ = make_run("twice"), make_run("twice"), make_run("open", finished=False)
    for wanted, run in ((first.run_id, first), (first.run_id[:12], first), ("twice", second), (None, second)):
        assert tracking.find_run(experiment, wanted).run == run
    with pytest.raises(TrackingError, match="no run with the id or name 'absent'"):
        tracking.find_run(experiment, "absent")


def test_an_ambiguous_start_of_an_id_is_refused(experiment: TrackingSettings, make_run: Callable[..., Run]) -> None:
    starts = [make_run(f"run {number}").run_id[0] for number in range(17)]  # there are 16 digits
    (ambiguous, *_) = [start for start in starts if starts.count(start) > 1]
    with pytest.raises(TrackingError, match=f"several runs have an id that starts with '{ambiguous}'"):
        tracking.find_run(experiment, ambiguous)


def test_the_training_settings_of_a_run_are_read_from_its_parameters(
    experiment: TrackingSettings, make_run: Callable[..., Run]
) -> None:
    settings = PipelineSettings.of(overrides={"train.epochs": 7, "split.seed": 3})
    run = make_run("settings", finished=False)
    tracking.log_settings(run, settings, source="synthetic")
    found = tracking.train_settings_of(tracking.read_run(run.tracking_uri, run.run_id))
    assert found.train == settings.train
    assert found.split == PipelineSettings().split


def test_missing_data_of_a_run_are_named(make_run: Callable[..., Run], tmp_path: Path) -> None:
    run = make_run("elsewhere")
    with pytest.raises(DigestError, match="had its data there and the folder is missing"):
        tracking.data_folders(tracking.read_run(run.tracking_uri, run.run_id), tmp_path)
