"""Where the records of a step go: the run's log in Prefect, the terminal, and whoever else asks."""

from collections.abc import Callable
from typing import Any

from prefect.logging import get_run_logger

from cfmodel import terminal


def report(*listeners: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return an `on_record` that tells the run's log, the terminal and the listeners."""
    logger, screen = get_run_logger(), terminal.current()

    def on_record(record: Any) -> None:
        if (line := terminal.describe(record)) is not None:
            logger.info(line)
        for listener in (screen.show, *listeners):
            listener(record)

    return on_record


def publish(artifact: Callable[..., Any], **content: Any) -> None:
    """Show something on the flow run's page; a Prefect server that is away costs the page, not the run."""
    try:
        artifact(**content)
    except Exception as trouble:  # whatever of Prefect's or the network's
        get_run_logger().warning("%s is not on Prefect's page: %s", content.get("key"), trouble)
