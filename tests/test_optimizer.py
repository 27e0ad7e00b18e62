"""The clip coefficient, as a number and as a tensor, compared with each other and with torch's clipping."""

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from cfmodel.optimizer import clip_coefficient, tensor_clip_coefficient


@given(st.floats(min_value=0, width=32), st.floats(0.125, 1024, width=32))
@example(0.0, 1.0)
@example(math.inf, 1.0)
@example(math.nan, 1.0)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_the_clip_coefficient_is_the_same_for_numbers_and_for_tensors(
    dtype: torch.dtype, tolerance: float, norm: float, max_norm: float
) -> None:
    of_tensor = float(tensor_clip_coefficient(torch.tensor(norm, dtype=dtype), max_norm))
    assert of_tensor == pytest.approx(clip_coefficient(norm, max_norm), rel=tolerance, abs=1e-37, nan_ok=True)


@pytest.mark.parametrize(("norm", "coefficient"), [(0.0, 1.0), (0.5, 1.0), (2.0, 0.5), (math.inf, 0.0)])
def test_gradients_are_scaled_down_to_the_largest_norm_and_never_up(norm: float, coefficient: float) -> None:
    assert clip_coefficient(norm, 1.0) == pytest.approx(coefficient, rel=1e-6)


def test_the_coefficient_of_a_nan_is_a_nan() -> None:
    assert math.isnan(clip_coefficient(math.nan, 1.0))


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
