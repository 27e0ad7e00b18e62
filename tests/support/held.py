"""The pipeline as tests interrupt it: a run waits for its test, so that no test hangs on how fast a machine is.

A worker runs `pipeline` of this file; as a script it is `cfmodel`. While there is a file at HOLD, a run waits at the
place that is written in it: in `training`, between two steps of the third epoch, until the file is gone or the run is
told to stop; or at the `end`, before the run is closed. It says in files beside that one that it waits (`reached`) and
when it was told to stop (`told`).
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cfmodel.training.train as training
from cfmodel import tracking
from cfmodel.training.resuming.checkpoint_policy import CheckpointPolicy
from cfmodel.training.resuming.interrupts import never_stop

HOLD = Path(os.environ.get("HOLD", "/absent"))

fit, end_run = training.fit, tracking.end_run


def hold(path: Path, place: str) -> None:
    """Have runs with this HOLD wait at a place, until `release`."""
    path.with_suffix(".reached").unlink(missing_ok=True)
    path.write_text(place)


def is_reached(path: Path) -> bool:
    """Tell whether a run waits."""
    return path.with_suffix(".reached").exists()


def told_at(path: Path) -> float:
    """Return when the run that waited was told to stop, in seconds since 1970-01-01 UTC."""
    return float(path.with_suffix(".told").read_text())


def release(path: Path) -> None:
    """Let runs go on."""
    path.unlink()


def wait_at(place: str, told: Callable[[], bool] = never_stop) -> None:
    """Wait where that is the place to, until released or told to stop."""
    while _is_held_at(place):
        HOLD.with_suffix(".reached").touch()
        if told():
            HOLD.with_suffix(".told").write_text(str(time.time()))
            return
        time.sleep(0.01)


def _is_held_at(place: str) -> bool:
    try:
        return HOLD.read_text() == place
    except FileNotFoundError:
        return False


def held_fit(*given: Any, checkpoints: CheckpointPolicy, should_stop: Callable[[], bool], **how: Any) -> Any:
    """Fit, and wait between two steps of the third epoch."""

    def asked() -> bool:
        if checkpoints.last is not None and checkpoints.last["fitting"]["epoch"] == 2:
            wait_at("training", should_stop)
        return should_stop()

    return fit(*given, checkpoints=checkpoints, should_stop=asked, **how)


def held_end_run(*given: Any, **how: Any) -> None:
    """Wait, and end the run."""
    wait_at("end")
    end_run(*given, **how)


if "HOLD" in os.environ:  # else it is imported by a test, for the functions above
    training.fit, tracking.end_run = held_fit, held_end_run
    if __name__ == "__main__":
        from cfmodel.cli import main

        main()
    else:
        from flows.pipeline import pipeline as pipeline
