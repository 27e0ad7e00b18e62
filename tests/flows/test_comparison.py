"""The flow that compares runs."""

from uuid import uuid4

import pytest

from cfmodel.config import TrackingSettings
from flows.comparison import comparison


@pytest.mark.usefixtures("prefect_api")
def test_fewer_than_two_finished_runs_are_nothing_to_compare_and_no_failure(mlflow_store: str) -> None:
    empty = TrackingSettings(uri=mlflow_store, experiment=f"empty-{uuid4().hex[:8]}")
    state = comparison(tracking=empty, return_state=True)
    assert (state.name, state.message) == ("nothing to compare", "0 finished runs so far")
    assert state.is_completed()
