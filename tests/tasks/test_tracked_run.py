"""The MLflow run around the tasks of a flow run."""

from collections.abc import Callable
from typing import Any

import pytest
from mlflow import MlflowClient

from tasks.tracked_run import tracked_run


def test_settings_and_data_are_recorded_and_the_run_is_named_on_the_terminal(pieces: Any) -> None:
    assert pieces.recorded.data.params["train.epochs"] == "4"
    assert pieces.recorded.inputs.dataset_inputs
    assert f"MLflow run {pieces.run.run_id}" in pieces.screen.printed


def test_an_interrupted_run_is_killed_and_the_command_that_resumes_it_is_printed(
    pieces: Any, screen: Any, in_flow: Callable[[Callable[[], Any]], Any]
) -> None:
    ids: list[str] = []

    def interrupted() -> None:
        try:
            with tracked_run(pieces.parts, pieces.settings) as opened:
                ids.append(opened.run.run_id)
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass

    in_flow(interrupted)
    assert screen.printed == [f"MLflow run {ids[0]}", f"stopped; resume with: cfmodel run --resume {ids[0]}"]
    assert MlflowClient(pieces.settings.tracking.uri).get_run(ids[0]).info.status == "KILLED"


def test_a_run_that_fails_is_failed_and_nothing_is_said_of_resuming(
    pieces: Any, screen: Any, in_flow: Callable[[Callable[[], Any]], Any]
) -> None:
    def failing() -> None:
        with tracked_run(pieces.parts, pieces.settings):
            raise ValueError("out of range")

    with pytest.raises(ValueError, match="out of range"):
        in_flow(failing)
    assert [line for line in screen.printed if "--resume" in line] == []
