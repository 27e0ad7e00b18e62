"""From the name of a device to a device that answers."""

import os

import torch

from cfmodel.errors import DeviceError


def resolve_device(name: str) -> torch.device:
    """Return the device of that name once it has been shown to work.

    Args:
        name: `auto` (CUDA where there is one, else the CPU), `cpu`, `cuda` or `cuda:1`.

    Raises:
        DeviceError: CUDA is asked for by name and is not there or does not answer.
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
        raise DeviceError(f"runtime.device: {name!r} does not answer ({reason}); use 'auto', 'cpu' or 'cuda'") from None
    return device


def _require_cuda(name: str) -> None:
    if torch.cuda.is_available():
        return
    reason = "cannot reach a GPU; check the driver with `nvidia-smi`"
    if torch.version.cuda is None:
        reason = "is a build for the CPU; install a CUDA build of torch"
    raise DeviceError(f"runtime.device: {name!r} is asked for, but torch {torch.__version__} {reason}, or set 'cpu'")


def limit_threads(threads: int | None) -> None:
    """Let torch use that many CPU threads in this process; None leaves torch's own choice."""
    if threads is not None:
        torch.set_num_threads(threads)


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
