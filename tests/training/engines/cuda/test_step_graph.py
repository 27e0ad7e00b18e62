"""A step as a CUDA graph; the step itself on the CPU."""

import pytest
import torch

from cfmodel.training.engines.cuda.step_graph import StepGraph

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=CUDA)])
def test_a_recording_changes_nothing_and_each_run_does_the_step_once(device: str) -> None:
    counter = torch.zeros(1, device=device)
    graph = StepGraph(lambda: counter.add_(1), torch.device(device))
    graph.run()
    graph.record(restoring=[counter])
    assert counter.tolist() == [1]
    for _ in range(3):
        graph.run()
    graph.wait()
    assert counter.tolist() == [4]
