"""A team of threads that share the chunks of one phase after another, without waiting for a suspended thread.

Every thread runs the same compiled function, which goes through numbered phases. In each phase a thread
takes chunks that no other thread has taken, first those it had before, whose rows are in its core's cache.
So a suspended thread takes no chunk and delays nobody: when it runs again, it skips the phases that are
over. The thread that finishes the last chunk of a phase does the work that is done once, such as adding up,
and ends the phase. Neither the chunks nor any result depend on the number of threads.
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

#: Checks of an unfinished phase before a thread yields its core.
_SPINS = 4096
#: Involuntary context switches a second above which the cores count as busy, and the number of runs with one
#: thread that follow.
_SWITCHES, _RUNS_ALONE = 25, 32


class Phases(NamedTuple):
    """The state of P phases of C chunks: chunks taken, shape (P, C), chunks done, (P,), and phases over, (1,)."""

    taken: npt.NDArray[np.int64]
    done: npt.NDArray[np.int64]
    over: npt.NDArray[np.int64]

    @classmethod
    def of(cls, number: int, chunks: int) -> "Phases":
        """Return phases of which no chunk is taken."""
        return cls(np.zeros((number, chunks), np.int64), np.zeros(number, np.int64), np.zeros(1, np.int64))


class ThreadTeam:
    """Calls a compiled function, which releases the interpreter's lock, in several threads.

    Args:
        threads: Number of threads, the calling one included.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._alone = 0
        self._others = ThreadPoolExecutor(max(1, threads - 1), "cfmodel-train")  # starts threads on demand

    def run(self, function: Callable[..., None], phases: int, chunks: int, *args: Any) -> None:
        """Call `function(phases, thread number, *args)` in every thread; return when all phases are over.

        A late thread may still be inside then, but has nothing left to do. While other programs use the same
        cores, one thread alone is faster than several that wait for one suspended in the middle of a chunk.
        """
        state = Phases.of(phases, chunks)
        if self._alone or self.threads == 1:
            self._alone = max(0, self._alone - 1)
            function(state, 0, *args)
            return
        began, switches = time.perf_counter(), _involuntary_switches()
        for thread in range(1, self.threads):
            self._others.submit(function, state, thread, *args)
        function(state, 0, *args)
        if _involuntary_switches() - switches > 1 + (time.perf_counter() - began) * _SWITCHES:
            self._alone = _RUNS_ALONE

    def close(self) -> None:
        """End the threads."""
        self._others.shutdown(wait=True)


def _involuntary_switches() -> int:
    """Return the calling thread's involuntary context switches; 0 on a system that does not count them."""
    who = getattr(resource, "RUSAGE_THREAD", None)
    return 0 if who is None else resource.getrusage(who).ru_nivcsw


@compiled(forceinline=True)
def take(phases: Phases, phase: int, chunk: int) -> bool:
    """Take a chunk of a phase for the caller; return whether it was free."""
    if phases.taken[phase, chunk]:  # a plain read first: an atomic one would delay the other threads
        return False
    return exchange(phases.taken, phase * phases.taken.shape[1] + chunk, np.int64(1)) == 0  # type: ignore[no-any-return]


@compiled(forceinline=True)
def is_last(phases: Phases, phase: int, chunks: int) -> bool:
    """Count a chunk as done; return whether it was the last, in which case the caller must call `end`."""
    return add(phases.done, phase, np.int64(1)) == chunks - 1  # type: ignore[no-any-return]


@compiled(forceinline=True)
def end(phases: Phases) -> None:
    """End the current phase and make its writes visible to all threads."""
    add(phases.over, np.int64(0), np.int64(1))


@compiled()
def wait(phases: Phases, phase: int) -> None:
    """Wait until a phase is over; yield the core after a while."""
    checks = 0
    while add(phases.over, np.int64(0), np.int64(0)) <= phase:
        checks += 1
        if checks > _SPINS:
            yield_core()
