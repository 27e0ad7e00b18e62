"""Adam's constants and the clip coefficient, shared by the engines and the lesson."""

from torch import Tensor

#: Decay of Adam's two running means, and the number added to the root of the second: torch's defaults.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
#: Added to a norm before it divides.
_CLIP_EPSILON = 1e-6


def clip_coefficient(norm: float, max_norm: float) -> float:
    """Return the factor by which clipping scales gradients of this joint norm; NaN for a norm of NaN.

        min(1, max_norm / (norm + 1e-6))

    Plain Python, which the CPU engine compiles. Its twin for tensors is `tensor_clip_coefficient`.

    Source: Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks" (2013).
    """
    return min(1.0, max_norm / (norm + _CLIP_EPSILON)) if norm == norm else norm


def tensor_clip_coefficient(norm: Tensor, max_norm: float) -> Tensor:
    """Return the factor on the norm's device, without waiting for it: the twin of `clip_coefficient`."""
    return (max_norm / (norm + _CLIP_EPSILON)).clamp(max=1.0)
