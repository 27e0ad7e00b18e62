"""What makes two runs equal: data, what is learned from them how, and code; not where."""

from pathlib import Path

import pytest
from prefect import flow

from cfmodel.config import PipelineSettings, TrackingSettings
from cfmodel.provenance import inputs_digest
from cfmodel.refs import DatasetRef
from tasks.new_data import is_scheduled, run_of


def dataset(digest: str) -> DatasetRef:
    return DatasetRef(
        path=Path(digest), digest=digest, source="s", source_digest="d", rows=1, users=1, movies=1, rating_min=1.0,
        rating_max=5.0, has_timestamps=False, seconds=0.1,
    )  # fmt: skip


def digest(data: str = "a", **overrides: object) -> str:
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    return inputs_digest(PipelineSettings.of(overrides=named), dataset(data), None)


def test_other_data_other_settings_and_another_test_file_make_another_run() -> None:
    assert digest() == digest()
    assert digest("b") != digest()
    assert digest(train__epochs=3) != digest()
    settings = PipelineSettings()
    assert inputs_digest(settings, dataset("a"), dataset("b")) != inputs_digest(settings, dataset("a"), None)


def test_where_a_run_happens_and_is_recorded_does_not() -> None:
    assert digest(runtime__device="cpu", tracking__uri="http://127.0.0.1:1", keep__days=1) == digest()


@pytest.fixture
def away(prefect_api: str) -> TrackingSettings:
    return TrackingSettings(uri="http://127.0.0.1:9")


def test_a_store_that_is_away_does_not_keep_a_run_from_training(away: TrackingSettings) -> None:
    @flow
    def asking() -> bool:
        return run_of("abc", away) is None

    assert asking()


def test_a_run_by_hand_is_not_scheduled(prefect_api: str) -> None:
    @flow
    def asking() -> bool:
        return is_scheduled()

    assert asking() is False
    assert is_scheduled() is False
