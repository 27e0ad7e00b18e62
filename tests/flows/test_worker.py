"""The checks of a worker before it serves a pool."""

import pytest

from cfmodel.errors import DeviceError
from flows.worker import require_one_card


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(DeviceError, match="'cuda'"):
        require_one_card("gpu", "99")
