"""A step as a CUDA graph; on other devices, the step itself."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class StepGraph:
    """Runs a step that reads its inputs from fixed memory, and reads nothing back from the device.

    Args:
        step: The step.
        device: Where it runs.
    """

    def __init__(self, step: Callable[[], None], device: torch.device) -> None:
        self._step, self._device = step, device
        self._graph: torch.cuda.CUDAGraph | None = None

    def run(self) -> None:
        """Do the step; on CUDA this does not wait for it."""
        if self._graph is None:
            self._step()
        else:
            self._graph.replay()

    def record(self, *, restoring: Sequence[Tensor]) -> None:
        """Record the step on CUDA; do nothing on other devices.

        Args:
            restoring: Tensors that the step changes. CUDA needs a run before the recording; these undo it.
        """
        if self._device.type != "cuda":
            return
        self._graph = None
        before = [tensor.clone() for tensor in restoring]
        with torch.cuda.device(self._device):
            self._warm_up()
            graph = torch.cuda.CUDAGraph()
            # The threads that shuffle later epochs may allocate memory meanwhile.
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                self._step()
        for tensor, old in zip(restoring, before, strict=True):
            tensor.copy_(old)
        self._graph = graph

    def wait(self) -> None:
        """Wait until the device has finished."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _warm_up(self) -> None:
        """Run the step once in a stream of its own, so that libraries initialise before the recording."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self._step()
        torch.cuda.current_stream().wait_stream(stream)
