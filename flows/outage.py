"""A Prefect server that goes away in the middle of a run: the run continues without it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty

from cfmodel import terminal
from cfmodel.errors import CFModelError
from cfmodel.refs import RunRef


class Outage:
    """Finds the result of a run whose Prefect server went away before its end.

    Args:
        url: Address of the server's API.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def result(self) -> RunRef:
        """Return the run if it completed all the same, and print that Prefect does not know.

        Raises:
            CFModelError: The run did not complete.
        """
        run = terminal.current_screen().completed
        if run is None:
            raise CFModelError(
                f"the Prefect server at {self._url} went away and the run did not complete; start the server and run "
                "again: ingest and split are reused, and training resumes from its last checkpoint"
            )
        terminal.current_screen().print_line(
            f"\nThe Prefect server at {self._url} went away during the run. Nothing of the run is missing in MLflow; "
            "Prefect's own page does not show how it ended."
        )
        return run


@contextmanager
def tolerate_outage(url: str) -> Iterator[Outage]:
    """Surround a flow run: a Prefect server that goes away ends the block without an error.

    Args:
        url: Address of the server's API.

    Raises:
        CFModelError: A step refused something before the server went away.
    """
    from httpx import TransportError

    # Prefect's log handler would print again and again that it cannot reach the server.
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        yield Outage(url)
        logging.raiseExceptions = before
    except TransportError as error:
        if (refusal := _refusal_below(error)) is not None:
            raise refusal from None


def server_answers() -> bool:
    """Return whether the Prefect server of the current settings answers."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.api_healthcheck() is None


def drop_unsent_records() -> None:
    """Empty the queues of events and logs that Prefect has not sent yet, when its server is away.

    At exit Prefect sends what is queued, and tries each item for seconds, so that the process would not end. Its
    services have `drain`, which sends everything, and no public call that stops one without sending. So this empties
    their private queue; tests/flows/test_outage.py fails if a new Prefect has no such queue.
    """
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for service in (EventsWorker.instance(), APILogWorker.instance()):
        with suppress(Empty):
            while True:
                service._queue.get_nowait()
                service._queue.task_done()


def _refusal_below(error: BaseException) -> CFModelError | None:
    below: BaseException | None = error
    while below is not None and not isinstance(below, CFModelError):
        below = below.__cause__ or below.__context__
    return below
