"""A step recorded as a CUDA graph and replayed; where there is no CUDA, the step itself."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class StepGraph:
    """Runs a step that takes its inputs from tensors that stay, and reads nothing back.

    Args:
        step: What to run.
        device: Where it runs.
    """

    def __init__(self, step: Callable[[], None], device: torch.device) -> None:
        self._step, self._device = step, device
        self._graph: torch.cuda.CUDAGraph | None = None

    def run(self) -> None:
        """Do the step; on CUDA this only asks for it."""
        if self._graph is None:
            self._step()
        else:
            self._graph.replay()

    def record(self, *, restoring: Sequence[Tensor]) -> None:
        """Record the step as it now is, on CUDA; elsewhere there is nothing to do.

        Args:
            restoring: What the step changes. It runs once beforehand, as recording asks for.
        """
        if self._device.type != "cuda":
            return
        self._graph = None
        before = [tensor.clone() for tensor in restoring]
        with torch.cuda.device(self._device):
            self._warm_up()
            graph = torch.cuda.CUDAGraph()
            # Other threads, which deal later epochs, may go on allocating memory meanwhile.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._step()
        for tensor, was in zip(restoring, before, strict=True):
            tensor.copy_(was)
        self._graph = graph

    def wait(self) -> None:
        """Wait until the device has done what was asked of it."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _warm_up(self) -> None:
        """Run the step in a stream of its own, so that whatever is set up on first use is there before recording."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._step()
        torch.cuda.current_stream().wait_stream(stream)
