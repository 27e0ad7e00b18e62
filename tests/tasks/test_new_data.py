"""Whether a scheduled run has anything new to train on."""

import pytest
from prefect import flow

from cfmodel.config import TrackingSettings
from tasks.new_data import completed_run_of, is_scheduled


@pytest.fixture
def away(prefect_api: str) -> TrackingSettings:
    return TrackingSettings(uri="http://127.0.0.1:9")


def test_a_store_that_is_away_does_not_keep_a_run_from_training(away: TrackingSettings) -> None:
    @flow
    def asking() -> bool:
        return completed_run_of("abc", away) is None

    assert asking()


def test_a_run_by_hand_is_not_scheduled(prefect_api: str) -> None:
    @flow
    def asking() -> bool:
        return is_scheduled()

    assert asking() is False
    assert is_scheduled() is False
