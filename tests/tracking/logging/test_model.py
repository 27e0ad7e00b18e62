"""A saved model logged to a run."""

from pathlib import Path

import pytest
from mlflow import MlflowClient

from cfmodel import tracking
from cfmodel.errors import DigestError
from cfmodel.tracking import Run


def test_a_damaged_model_is_refused_and_not_logged(client: MlflowClient, run: Run, saved: Path) -> None:
    weights = saved / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(DigestError, match=r"weights\.safetensors"):
        tracking.log_model(run, saved)
    assert not client.search_logged_models([run.experiment_id], filter_string=f"source_run_id = '{run.run_id}'")
