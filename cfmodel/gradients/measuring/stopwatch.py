"""A stopwatch that adds up the time of one kind of work."""

import time
from collections.abc import Callable
from typing import Self

import torch

#: Returns seconds since some fixed point.
Clock = Callable[[], float]


def clock_of(device: torch.device) -> Clock:
    """Return the clock for the cost of work in the training thread.

    On the CPU that is the thread's processor time, which excludes other programs. On other devices it is the
    wall clock, which sees only the launch of an operation: waiting for its end would cost more than the
    recording itself.
    """
    return time.thread_time if device.type == "cpu" else time.perf_counter


class Stopwatch:
    """Adds up the time of its blocks, `with stopwatch: ...`, which must not be nested.

    Attributes:
        seconds: The time of all blocks so far.
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
