"""The choice of a device."""

import pytest
import torch

from cfmodel.errors import DeviceError
from cfmodel.training.planning.devices import resolve_device

no_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")


def test_auto_is_cuda_if_there_is_a_gpu() -> None:
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_the_cpu_is_always_available() -> None:
    assert resolve_device("cpu") == torch.device("cpu")


@no_cuda
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_cuda_by_name_without_cuda_is_refused_with_a_remedy(name: str) -> None:
    with pytest.raises(DeviceError, match=rf"runtime\.device: '{name}' needs CUDA.*(install|nvidia-smi).*'cpu'"):
        resolve_device(name)


def test_a_device_that_does_not_work_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"'nonsense' does not work"):
        resolve_device("nonsense")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(DeviceError, match="does not work"):
        resolve_device(f"cuda:{torch.cuda.device_count()}")
