"""Experiments with runs of the pipeline."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from cfmodel import tracking
from cfmodel.config import TrackingSettings
from cfmodel.refs import SplitRef
from cfmodel.tracking import Run


@pytest.fixture
def experiment(mlflow_store: str) -> TrackingSettings:
    """A new experiment in the store in a file."""
    return TrackingSettings(uri=mlflow_store, experiment=f"runs-{uuid4().hex}")


@pytest.fixture
def make_run(experiment: TrackingSettings, split: SplitRef) -> Callable[..., Run]:
    """Record a run of the pipeline in the experiment."""

    def made(name: str, *, finished: bool = True) -> Run:
        run = tracking.start_run(experiment, name=name)
        tracking.log_split(run, split)
        if finished:
            tracking.end_run(run)
        return run

    return made
