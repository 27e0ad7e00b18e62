"""Call tasks one after another, noting how long each took and which were reused."""

import os
import time
from dataclasses import dataclass
from typing import Any

from prefect import Task
from prefect.client.schemas import State

from cfmodel import terminal
from cfmodel.data.storage import is_whole


@dataclass(frozen=True)
class Step:
    """One step of a flow run.

    Attributes:
        name: The task's name.
        seconds: Wall time from call to result.
        reused: Whether the result of an earlier run was taken.
    """

    name: str
    seconds: float
    reused: bool


class Steps:
    """Calls tasks and keeps what each step took, in order, in `taken`."""

    def __init__(self) -> None:
        self.taken: list[Step] = []

    def __call__(self, task: Task[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run one task and return its result; a reused result that is no longer whole is made again."""
        started = time.perf_counter()
        with terminal.current().step(task.name) as shown:
            state: State[Any] = task(*args, **kwargs, return_state=True)
            result = state.result()
            reused = state.name == "Cached"
            if reused and not is_whole(result):
                result, reused = task.with_options(refresh_cache=True)(*args, **kwargs), False
            if reused:
                os.utime(result.path)  # what is used stays: `cfmodel clean` goes by it
            step = Step(name=task.name, seconds=time.perf_counter() - started, reused=reused)
            shown(result, step.seconds, reused)
        self.taken.append(step)
        return result
