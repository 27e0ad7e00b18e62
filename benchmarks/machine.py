"""The header of every benchmark: machine, versions, commit and date."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from cfmodel import provenance


def describe_machine() -> str:
    """Return the machine, the versions, the commit and the date, in one line each."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "pyarrow"))
    return "\n".join(
        [
            f"machine   {os.cpu_count()} cores ({platform.machine()}), torch on {torch.get_num_threads()} threads",
            f"versions  cfmodel {provenance.cfmodel_version()}, Python {platform.python_version()}, {versions}",
            f"commit    {provenance.commit() or 'not a checkout'}",
            f"date      {datetime.now(UTC):%Y-%m-%d}",
        ]
    )


def use_cores(number: int) -> int:
    """Limit this process, its children and torch to at most this many cores; return the number in use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:number])
        number = len(os.sched_getaffinity(0))
    torch.set_num_threads(number)
    return number


def peak_bytes() -> int:
    """Return the peak resident memory of this process."""
    # Not `ru_maxrss`, which a process inherits from its parent.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024
