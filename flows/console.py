"""What Prefect may say on the terminal of `cfmodel run`."""

import logging

from prefect.logging.handlers import PrefectConsoleHandler

from cfmodel.errors import CFModelError


class OnlyTheUnexpected(PrefectConsoleHandler):
    """Prefect's own console, less its tracebacks of a refusal of ours.

    The command prints a refusal's message, once; Prefect's record of the run keeps the traceback.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line of the log."""
        raised = record.exc_info[1] if record.exc_info else None
        if not isinstance(raised, CFModelError) and not _repeats_an_error(record):
            super().emit(record)


def _repeats_an_error(record: logging.LogRecord) -> bool:
    """Tell whether a line says no more than that a run failed, whose error is shown anyway."""
    return record.getMessage().startswith("Finished in state Failed")
