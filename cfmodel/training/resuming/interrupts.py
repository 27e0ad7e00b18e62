"""SIGTERM (an orchestrator's cancel) and SIGINT (Ctrl+C), deferred to the end of a step."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

#: Returns whether training must stop; called between two steps, so it must be fast.
ShouldStop = Callable[[], bool]


class Interrupted(BaseException):
    """Training stopped between two steps on request; a checkpoint is written.

    Not an `Exception`, so that handlers of errors do not catch it.
    """


def never_stop() -> bool:
    """Return False."""
    return False


@contextmanager
def defer_signals() -> Iterator[ShouldStop]:
    """Defer signals that end the process until the block ends; their handlers run then.

    Without this, an orchestrator such as Prefect raises on SIGTERM wherever the program is, even in the middle of
    a step. A second signal is not deferred. Threads other than the main one receive no signals, so nothing
    changes there.

    Yields:
        A function that returns whether a signal is pending.
    """
    if threading.current_thread() is not threading.main_thread():
        yield never_stop
        return
    pending: list[int] = []
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    # Ignored signals stay ignored (Ctrl+C in a background job); None is a handler that Python cannot restore.
    before = {number: handler for number, handler in handlers.items() if handler not in (None, signal.SIG_IGN)}

    def defer(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's signature
        if not pending:
            pending.append(number)
            return
        pending.clear()
        _restore(before)
        signal.raise_signal(number)

    for number in before:
        signal.signal(number, defer)
    try:
        yield lambda: bool(pending)
    finally:
        _restore(before)
        if pending:
            signal.raise_signal(pending[0])


def _restore(handlers: dict[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
