"""What Prefect may say on the terminal of `cfmodel run`."""

import logging

from prefect.logging.handlers import PrefectConsoleHandler

from cfmodel.errors import CFModelError

#: Lines that say no more than that a run failed or was interrupted, which is shown anyway.
_KNOWN = (
    "Finished in state Failed",
    "Finished in state Crashed",
    "Crash detected! Execution was aborted by an interrupt signal.",
)


class OnlyTheUnexpected(PrefectConsoleHandler):
    """Prefect's own console, less its tracebacks of a refusal of ours.

    The command prints a refusal's message, once; Prefect's record of the run keeps the traceback.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line of the log."""
        raised = record.exc_info[1] if record.exc_info else None
        if not isinstance(raised, CFModelError) and not record.getMessage().startswith(_KNOWN):
            super().emit(record)
