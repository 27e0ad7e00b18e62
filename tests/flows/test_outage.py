"""A Prefect server that goes away: what the command raises, and what it relies on in Prefect."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from queue import Queue

import pytest
from httpx import ConnectError
from prefect.events import Event
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, temporary_settings

from cfmodel import terminal
from cfmodel.errors import CFModelError, DataError
from cfmodel.refs import RunRef
from flows.outage import drop_unsent_records, server_answers, tolerate_outage

URL = "http://127.0.0.1:9/api"
RUN = RunRef(run_id="r", tracking_uri="u", experiment_id="1", model_path=Path("m"), model_digest="d", model_uri="x")


class Lines(terminal.SilentScreen):
    """Keeps what is printed."""

    def __init__(self) -> None:
        self.printed: list[str] = []

    def print_line(self, text: str) -> None:
        self.printed.append(text)


@pytest.fixture
def screen() -> Iterator[Lines]:
    with terminal.use_screen(Lines()):
        found = terminal.current_screen()
        assert isinstance(found, Lines)
        yield found


def test_a_run_that_completed_without_its_server_is_the_result_and_the_outage_is_printed(screen: Lines) -> None:
    with tolerate_outage(URL) as outage:
        screen.complete(RUN)
        raise ConnectError("refused")
    assert outage.result() == RUN
    assert [line.strip().partition(".")[0] for line in screen.printed] == ["The Prefect server at http://127"]


def test_a_run_that_did_not_complete_is_an_error_that_tells_how_to_continue(screen: Lines) -> None:
    with tolerate_outage(URL) as outage:
        raise ConnectError("refused")
    with pytest.raises(CFModelError, match="did not complete; start the server and run again"):
        outage.result()


def test_a_refusal_is_raised_even_if_the_server_went_away_after_it(screen: Lines) -> None:
    away = ConnectError("refused")
    away.__cause__ = DataError("bad row")
    with pytest.raises(DataError, match="bad row"), tolerate_outage(URL):
        raise away


def test_the_server_of_the_settings_is_asked_whether_it_answers(prefect_api: str) -> None:
    assert server_answers()
    with temporary_settings({PREFECT_API_URL: URL}):
        assert not server_answers()


def test_prefect_still_has_the_private_queues_that_are_emptied_in_an_outage(prefect_api: str) -> None:
    for service in (EventsWorker.instance(), APILogWorker.instance()):
        assert isinstance(getattr(service, "_queue", None), Queue), (
            f"Prefect {version('prefect')}: {type(service).__name__} has no queue `_queue`; find where this version "
            "keeps unsent records, or a public way to drop them, and change flows.outage.drop_unsent_records"
        )


def test_dropped_records_are_not_waited_for(prefect_api: str) -> None:
    with temporary_settings({PREFECT_API_URL: URL}):
        for _ in range(100):
            EventsWorker.instance().send(Event(event="test", resource={"prefect.resource.id": "test"}))
        drop_unsent_records()
        assert EventsWorker.instance()._queue.empty()
