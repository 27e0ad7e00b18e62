"""The clip coefficient, as a number and as a tensor, compared with torch's clipping."""

import math

import pytest
import torch

from cfmodel.optimizer import clip_coefficient, tensor_clip_coefficient


def of_tensor(norm: float, max_norm: float) -> float:
    return float(tensor_clip_coefficient(torch.tensor(norm, dtype=torch.float64), max_norm))


@pytest.mark.parametrize("coefficient", [clip_coefficient, of_tensor])
@pytest.mark.parametrize("norm", [0.0, 0.5, 1.0, 3.0, 1e6])
def test_both_scale_gradients_as_torch_does(coefficient: object, norm: float) -> None:
    assert callable(coefficient)
    parameter = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    parameter.grad = torch.tensor([norm], dtype=torch.float64)
    torch.nn.utils.clip_grad_norm_([parameter], 1.0)
    assert norm * coefficient(norm, 1.0) == pytest.approx(float(parameter.grad), rel=1e-12)


@pytest.mark.parametrize("coefficient", [clip_coefficient, of_tensor])
def test_of_a_norm_that_is_nan_both_are_nan_and_of_an_infinite_one_zero(coefficient: object) -> None:
    assert callable(coefficient)
    assert math.isnan(coefficient(math.nan, 1.0))
    assert coefficient(math.inf, 1.0) == 0
