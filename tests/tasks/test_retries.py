"""Which failures of a task are retried."""

import errno
from collections.abc import Callable
from typing import Any

import pytest
from prefect import task

from cfmodel.errors import CFModelError, DataError, DivergedError
from tasks.retries import RETRIES


def calls_until_done(in_flow: Callable[[Callable[[], Any]], Any], *errors: Exception) -> int:
    """Call a task that raises each error in turn, and return how often it ran; raise what the task raised last."""
    left = list(errors)
    calls = []

    @task(name="flaky", **RETRIES | {"retry_delay_seconds": 0})
    def flaky() -> None:
        calls.append(1)
        if left:
            raise left.pop(0)

    try:
        in_flow(flaky)
    except Exception:
        assert len(calls) == len(errors)
        raise
    return len(calls)


def test_a_failure_of_the_disk_or_the_network_is_retried(in_flow: Callable[[Callable[[], Any]], Any]) -> None:
    assert calls_until_done(in_flow, OSError("disk"), ConnectionError("network")) == 3


@pytest.mark.parametrize(
    "error",
    [
        DataError("bad row"),
        DivergedError("not finite"),
        ValueError("a bug"),
        PermissionError("no right"),
        OSError(errno.EROFS, "a disk that cannot be written"),
    ],
)
def test_a_refusal_a_divergence_a_bug_and_a_missing_right_are_not_retried(
    error: CFModelError | ValueError | OSError, in_flow: Callable[[Callable[[], Any]], Any]
) -> None:
    with pytest.raises(type(error)):
        calls_until_done(in_flow, error)
