"""What tasks send to Prefect and to the terminal."""

from collections.abc import Callable
from typing import Any

import pytest

from cfmodel.recommending.score import UsersScored
from tasks.prefect_output import publish_artifact, record_logger


def test_a_record_is_logged_shown_and_handed_to_the_listeners(
    screen: Any, in_flow: Callable[[Callable[[], Any]], Any], caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Any] = []
    record = UsersScored(users=1_200, fraction=0.5)
    with caplog.at_level("INFO"):
        in_flow(lambda: record_logger(heard.append)(record))
    assert screen.records == heard == [record]
    assert "1,200 users scored (50%)" in caplog.text


def test_an_artifact_that_cannot_be_created_is_a_warning(
    in_flow: Callable[[Callable[[], Any]], Any], caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(key: str) -> None:
        raise ConnectionError("away")

    with caplog.at_level("WARNING"):
        in_flow(lambda: publish_artifact(refuse, key="result"))
    assert "result is not on Prefect's page: away" in caplog.text
