"""What Prefect prints on the terminal of `cfmodel run`."""

import logging
from io import StringIO

import pytest
from httpx import ConnectError

from cfmodel.errors import DataError
from flows.console import OnlyTheUnexpected


def printed(message: str, *, logger: str = "prefect.flow_runs", raised: Exception | None = None) -> str:
    stream = StringIO()
    error = None if raised is None else (type(raised), raised, None)
    record = logging.LogRecord(logger, logging.ERROR, "file.py", 1, message, None, error)
    OnlyTheUnexpected(stream=stream).emit(record)
    return stream.getvalue()


def test_what_is_unexpected_is_printed() -> None:
    assert "something else" in printed("something else")
    assert "ValueError: a bug" in printed("Encountered an exception", raised=ValueError("a bug"))


@pytest.mark.parametrize("raised", [DataError("bad row"), ConnectError("refused")])
def test_a_refusal_and_a_server_that_is_away_are_not_printed(raised: Exception) -> None:
    assert printed("Encountered an exception", raised=raised) == ""


def test_what_the_command_prints_itself_is_not_printed_again() -> None:
    assert printed("Finished in state Failed('bad row')") == ""
    assert printed("cannot reach the server", logger="prefect.events.clients") == ""
