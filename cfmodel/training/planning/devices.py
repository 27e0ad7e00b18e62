"""Devices: the choice between CPU and CUDA, and the number of threads."""

import os

import torch

from cfmodel.errors import DeviceError


def resolve_device(name: str) -> torch.device:
    """Return the device of that name, after a check that it works.

    Args:
        name: `auto` (CUDA if available, else the CPU), `cpu`, `cuda` or `cuda:1`.

    Raises:
        DeviceError: The device is not available or does not work.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda"):
        _require_cuda(name)
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise DeviceError(f"runtime.device: {name!r} does not work ({reason}); use 'auto', 'cpu' or 'cuda'") from None
    return device


def _require_cuda(name: str) -> None:
    if torch.cuda.is_available():
        return
    reason = "finds no GPU; check the driver with `nvidia-smi`"
    if torch.version.cuda is None:
        reason = "is a build for the CPU; install a CUDA build of torch"
    raise DeviceError(f"runtime.device: {name!r} needs CUDA, but torch {torch.__version__} {reason}, or set 'cpu'")


def limit_threads(threads: int | None) -> None:
    """Set the number of CPU threads that torch uses in this process; None: leave torch's choice."""
    if threads is not None:
        torch.set_num_threads(threads)


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
