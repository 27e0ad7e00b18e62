"""A flow around whatever a test calls: tasks log to the run of their flow."""

from collections.abc import Callable
from typing import Any

import pytest
from prefect import flow


@pytest.fixture
def in_flow(prefect_api: str) -> Callable[[Callable[[], Any]], Any]:
    """Call a function inside a flow run and return its result."""
    return lambda function: flow(name="test")(function)()
