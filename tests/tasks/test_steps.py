"""Calling tasks: what a step records, and that mypy checks the arguments."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mypy_check import mypy_errors
from prefect import task

from cfmodel.refs import DatasetRef
from tasks.steps import Steps

InFlow = Callable[[Callable[[], Any]], Any]
DATA = DatasetRef(
    path=Path("x"), digest="d", source="s", source_digest="e", rows=1, users=1, movies=1, rating_min=1.0,
    rating_max=5.0, has_timestamps=False, seconds=0.1,
)  # fmt: skip
SNIPPET = """
from cfmodel.config import PipelineSettings
from cfmodel.refs import DatasetRef, RunRef, SplitRef
from tasks.evaluate import evaluate_model
from tasks.steps import Steps


def call(steps: Steps, run: RunRef, parts: SplitRef, ratings: DatasetRef, settings: PipelineSettings) -> None:
    metrics: dict[str, float] = steps(evaluate_model, {arguments})
"""


@pytest.mark.parametrize(
    ("arguments", "errors"),
    [("run, parts, settings", 0), ("parts, 7, ratings", 3), ("run, parts", 1), ("run, parts, settings, k=3", 1)],
)
def test_mypy_refuses_a_task_that_is_called_with_the_wrong_arguments(
    arguments: str, errors: int, root: Path, tmp_path: Path
) -> None:
    assert len(mypy_errors(SNIPPET.replace("{arguments}", arguments), tmp_path, root)) == errors


def test_steps_are_listed_in_order_with_their_seconds_and_whether_they_were_reused(in_flow: InFlow) -> None:
    @task(name="make")
    def make(reused: bool) -> DatasetRef:
        return DATA.model_copy(update={"reused": reused})

    @task(name="multiply")
    def multiply(number: int, *, times: int = 2) -> int:
        return number * times

    def call() -> None:
        assert steps(multiply, 3, times=5) == 15
        assert [steps(make, reused).reused for reused in (False, True)] == [False, True]

    steps = Steps()
    in_flow(call)
    assert [(step.name, step.reused) for step in steps.taken] == [("multiply", False), ("make", False), ("make", True)]
    assert all(step.seconds > 0 for step in steps.taken)


def test_a_step_that_fails_raises_its_own_error_and_is_not_listed(in_flow: InFlow) -> None:
    @task(name="fail")
    def fail() -> None:
        raise ValueError("out of range")

    steps = Steps()
    with pytest.raises(ValueError, match="out of range"):
        in_flow(lambda: steps(fail))
    assert steps.taken == []
