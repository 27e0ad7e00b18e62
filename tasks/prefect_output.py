"""Send the records of a step to Prefect's log and the terminal, and artifacts to Prefect's page."""

from collections.abc import Callable
from typing import Any

from prefect.logging import get_run_logger

from cfmodel import terminal


def record_logger(*listeners: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return an `on_record` that logs each record to the run, shows it on the terminal and calls the listeners."""
    logger, screen = get_run_logger(), terminal.current_screen()

    def on_record(record: Any) -> None:
        if (line := terminal.describe(record)) is not None:
            logger.info(line)
        for listener in (screen.show, *listeners):
            listener(record)

    return on_record


def publish_artifact(create: Callable[..., Any], **content: Any) -> None:
    """Create an artifact on the flow run's page; log a warning if that fails, since the run does not need it.

    Args:
        create: One of Prefect's functions, such as `create_table_artifact`.
        content: Its arguments.
    """
    try:
        create(**content)
    except Exception as error:  # any of Prefect's or the network's
        get_run_logger().warning("%s is not on Prefect's page: %s", content.get("key"), error)
