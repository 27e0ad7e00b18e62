"""A Prefect server that goes away in the middle of a run: the run outlasts it, and the command says so."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty

from cfmodel import terminal
from cfmodel.errors import CFModelError
from cfmodel.refs import RunRef


class Outage:
    """What became of a run whose Prefect server went away before its end.

    Args:
        url: Address of the server's API.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def result(self) -> RunRef:
        """Return the run, which came to its end all the same, and say that Prefect does not know.

        Raises:
            CFModelError: It did not.
        """
        run = terminal.current().ended
        if run is None:
            raise CFModelError(
                f"the Prefect server at {self._url} went away, and the run did not come to its end; start the server "
                "and run again: ingest and split are reused, and training goes on from its last checkpoint"
            )
        terminal.current().say(
            f"\nThe Prefect server at {self._url} went away during the run. Nothing of the run is missing in MLflow; "
            "Prefect's own page does not show how it ended."
        )
        return run


@contextmanager
def outlasting(url: str) -> Iterator[Outage]:
    """Surround a flow run: what Prefect raises because its server is away ends the block, and is no error.

    A refusal of ours is raised, whatever Prefect made of it.

    Args:
        url: Address of the server's API.
    """
    from httpx import TransportError

    # Prefect's log handler would say on the terminal again and again that it cannot reach the server.
    noisy, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        yield Outage(url)
        logging.raiseExceptions = noisy
    except TransportError as error:
        if (refusal := _refusal_below(error)) is not None:
            raise refusal from None


def answers() -> bool:
    """Tell whether the Prefect server of the current settings answers."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.api_healthcheck() is None


def give_up_handing_over() -> None:
    """Throw away what waits to be sent to a Prefect server that has gone; the process could not end else."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for service in (EventsWorker.instance(), APILogWorker.instance()):
        with suppress(Empty):
            while True:
                service._queue.get_nowait()  # Prefect has no public way to do without the rest
                service._queue.task_done()


def _refusal_below(error: BaseException) -> CFModelError | None:
    below: BaseException | None = error
    while below is not None and not isinstance(below, CFModelError):
        below = below.__cause__ or below.__context__
    return below
