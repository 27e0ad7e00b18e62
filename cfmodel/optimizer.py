"""Adam's constants and the clip coefficient, for everything that computes an update or explains one."""

from torch import Tensor

#: Adam's decay of its two running means, and what is added to the root of the second: torch's defaults.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
#: What is added to a norm that is divided by.
CLIP_EPSILON = 1e-6


def clip_coefficient(norm: float, max_norm: float) -> float:
    """Return what clipping multiplies gradients of this joint norm by; NaN where the norm is.

        min(1, max_norm / (norm + 1e-6))

    In plain Python, so that it can be compiled; `clip_coefficient_of` is the same for tensors.

    Source: Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks" (2013).
    """
    return min(1.0, max_norm / (norm + CLIP_EPSILON)) if norm == norm else norm


def clip_coefficient_of(norm: Tensor, max_norm: float) -> Tensor:
    """Return `clip_coefficient` of a norm on a device, without waiting for it."""
    return (max_norm / (norm + CLIP_EPSILON)).clamp(max=1.0)
