"""A filter for what Prefect prints on the terminal of `cfmodel run`."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from httpx import TransportError
from prefect.logging.handlers import PrefectConsoleHandler

from cfmodel.errors import CFModelError
from cfmodel.system.last_net import unforeseen

#: First words of lines that only repeat that a run failed or was interrupted.
_KNOWN = (
    "Encountered exception during execution",
    "Finished in state Failed",
    "Finished in state Crashed",
    "Crash detected! Execution was aborted by an interrupt signal.",
    "Crash detected! Execution was aborted by a termination signal.",
)
#: Loggers that repeat that the server is away; the command prints it once.
_ABOUT_THE_SERVER = ("prefect.events",)


@contextmanager
def one_line_of_error() -> Iterator[None]:
    """End the program with one line and exit status 1 if the block fails."""
    try:
        yield
    except CFModelError as refusal:
        sys.exit(f"Error: {refusal}")
    except Exception as error:
        sys.exit(f"Error: {unforeseen(error)}")


class OnlyTheUnexpected(PrefectConsoleHandler):
    """Prefect's console without tracebacks of errors that end the run, and of a server that is away.

    The command prints each once, in one sentence; Prefect's record of the run keeps the traceback.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line of the log."""
        raised = record.exc_info[1] if record.exc_info else None
        known = record.getMessage().startswith(_KNOWN) or record.name.startswith(_ABOUT_THE_SERVER)
        if not isinstance(raised, CFModelError | TransportError) and not known:
            super().emit(record)
