"""Time spent on one kind of work, added up."""

import time
from collections.abc import Callable
from typing import Self

import torch

#: Returns seconds since some fixed point.
Clock = Callable[[], float]


def clock_of(device: torch.device) -> Clock:
    """Return the clock that says what work costs the training thread.

    On the CPU its processor time, which leaves out what other programs take of the machine
    meanwhile. Elsewhere the time on the wall: the thread then mostly waits, and only the host's part
    of recording is seen, launching it, since waiting for the device to be done would cost far more
    than the recording does.
    """
    return time.thread_time if device.type == "cpu" else time.perf_counter


class Stopwatch:
    """Adds up the time its blocks take: `with stopwatch: ...`; blocks do not nest.

    Attributes:
        seconds: All blocks so far.
    """

    def __init__(self, clock: Clock) -> None:
        self.seconds = 0.0
        self._clock = clock
        self._began = 0.0

    def __enter__(self) -> Self:
        self._began = self._clock()
        return self

    def __exit__(self, *raised: object) -> None:
        self.seconds += self._clock() - self._began
