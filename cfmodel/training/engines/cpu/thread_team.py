"""Threads that share the chunks of one phase after another, and never wait for one that is not there.

Every thread runs the same compiled function, which goes through numbered phases. In a phase each
thread takes the chunks that are still to be had, those first that it had before and whose rows its
core has at hand. So a thread that the machine has put aside takes none and holds nobody up; it finds
the phases it missed used up and catches up in passing. Who does the last chunk of a phase does what
comes once, such as adding up, and ends the phase. What a chunk is does not depend on the number of
threads, nor does any result.
"""

import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cfmodel.system.compiled import compiled
from cfmodel.training.engines.cpu.intrinsics import add, exchange, yield_core

#: Looks at an unfinished phase before the core is offered to others.
_SPINS = 4096
#: Times a second that a thread may be put aside before its core counts as wanted by others, and for
#: how many runs it then works alone.
_SWITCHES, _RUNS_ALONE = 25, 32


class Phases(NamedTuple):
    """The state of P phases of C chunks: which are taken, shape (P, C), how many done, (P,), and phases over, (1,)."""

    taken: npt.NDArray[np.int64]
    done: npt.NDArray[np.int64]
    over: npt.NDArray[np.int64]

    @classmethod
    def of(cls, number: int, chunks: int) -> "Phases":
        """Return phases that nobody has begun."""
        return cls(np.zeros((number, chunks), np.int64), np.zeros(number, np.int64), np.zeros(1, np.int64))


class ThreadTeam:
    """Calls a compiled function that releases the interpreter in several threads.

    Args:
        threads: How many, the calling one included.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._alone = 0
        self._others = ThreadPoolExecutor(max(1, threads - 1), "cfmodel-train")  # begins none before it has work

    def run(self, function: Callable[..., None], phases: int, chunks: int, *args: Any) -> None:
        """Call `function(phases, number of the thread, *args)` in every thread; return when all phases are over.

        A thread that comes late may still be inside by then, but finds nothing left to do. Where other
        programs want the same cores, one thread is faster for a while than several that wait for
        whichever has just been put aside in the middle of a chunk.
        """
        state = Phases.of(phases, chunks)
        if self._alone or self.threads == 1:
            self._alone = max(0, self._alone - 1)
            function(state, 0, *args)
            return
        began, switches = time.perf_counter(), _put_aside()
        for thread in range(1, self.threads):
            self._others.submit(function, state, thread, *args)
        function(state, 0, *args)
        if _put_aside() - switches > 1 + (time.perf_counter() - began) * _SWITCHES:
            self._alone = _RUNS_ALONE

    def close(self) -> None:
        """Let the threads end."""
        self._others.shutdown(wait=True)


def _put_aside() -> int:
    """Return how often the calling thread had to leave its core to others; 0 where the system does not say."""
    who = getattr(resource, "RUSAGE_THREAD", None)
    return 0 if who is None else resource.getrusage(who).ru_nivcsw


@compiled(forceinline=True)
def take(phases: Phases, phase: int, chunk: int) -> bool:
    """Return whether a chunk of a phase was still to be had; then it is the caller's to do."""
    if phases.taken[phase, chunk]:  # mostly seen without holding up the others
        return False
    return exchange(phases.taken, phase * phases.taken.shape[1] + chunk, np.int64(1)) == 0  # type: ignore[no-any-return]


@compiled(forceinline=True)
def is_last(phases: Phases, phase: int, chunks: int) -> bool:
    """Count a chunk as done and return whether it was the last; who did it must then call `end`."""
    return add(phases.done, phase, np.int64(1)) == chunks - 1  # type: ignore[no-any-return]


@compiled(forceinline=True)
def end(phases: Phases) -> None:
    """End the phase under way: what was written in it is there for all."""
    add(phases.over, np.int64(0), np.int64(1))


@compiled()
def wait(phases: Phases, phase: int) -> None:
    """Wait until a phase is over; soon let others have the core."""
    looks = 0
    while add(phases.over, np.int64(0), np.int64(0)) <= phase:
        looks += 1
        if looks > _SPINS:
            yield_core()
