"""Requests to stop, heard between two steps: SIGTERM (an orchestrator's cancel) and SIGINT (Ctrl+C)."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGTERM, signal.SIGINT)

#: Says whether the training is to stop; asked between two steps, so it must cost nothing.
ShouldStop = Callable[[], bool]


class Interrupted(BaseException):
    """A training stopped between two steps because it was told to, with nothing lost.

    No `Exception`: whoever catches errors is not meant.
    """


def never() -> bool:
    """Let a training go on to its end."""
    return False


@contextmanager
def heard_between_steps() -> Iterator[ShouldStop]:
    """Let signals that end the process wait until the block is left; then they do what they always do.

    An orchestrator such as Prefect answers SIGTERM by raising wherever the program happens to be,
    half a step included. Here the training is asked instead, and comes to a clean stop by itself. A
    second signal does not wait. In a thread other than the main one, where no signal arrives, nothing
    is changed.

    Yields:
        Whether a signal waits.
    """
    if threading.current_thread() is not threading.main_thread():
        yield never
        return
    waiting: list[int] = []
    found = {number: signal.getsignal(number) for number in _SIGNALS}
    # Ignored ones stay ignored (a background job's Ctrl+C); None is a handler that Python cannot put back.
    before = {number: handler for number, handler in found.items() if handler not in (None, signal.SIG_IGN)}

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's signature
        if not waiting:
            waiting.append(number)
            return
        waiting.clear()
        _restore(before)
        signal.raise_signal(number)

    for number in before:
        signal.signal(number, note)
    try:
        yield lambda: bool(waiting)
    finally:
        _restore(before)
        if waiting:
            signal.raise_signal(waiting[0])


def _restore(handlers: dict[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
