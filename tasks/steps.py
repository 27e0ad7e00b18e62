"""Call the tasks of a flow one after another, and time each."""

import time
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from prefect import Task

from cfmodel import terminal
from cfmodel.refs import DatasetRef, SplitRef

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Step:
    """One step of a flow run.

    Attributes:
        name: The task's name.
        seconds: Wall time from call to result.
        reused: Whether the result of an earlier run was reused.
    """

    name: str
    seconds: float
    reused: bool


class Steps:
    """Calls tasks and lists each call in `taken`, in order."""

    def __init__(self) -> None:
        self.taken: list[Step] = []

    def __call__(self, task: Task[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run one task, show it on the terminal and return its result."""
        started = time.perf_counter()
        with terminal.current_screen().step(task.name) as finished:
            result = task(*args, **kwargs)
            reused = isinstance(result, DatasetRef | SplitRef) and result.reused
            step = Step(name=task.name, seconds=time.perf_counter() - started, reused=reused)
            finished(result, step.seconds, reused)
        self.taken.append(step)
        return result
