"""Adam over packed rows, which reads nothing back from the device, so that it can be part of a CUDA graph."""

from typing import Protocol

import torch
from torch import Tensor
from torch.optim.adam import adam

from cfmodel.optimizer import BETA_1, BETA_2, EPSILON


class PackedAdam(Protocol):
    """Updates rows from their gradient.

    Attributes:
        rate: Step size, a scalar; set before each `move`.
        first: Running mean of the gradient, in the shape of the rows.
        second: Running mean of the squared gradient, likewise.
    """

    rate: Tensor
    first: Tensor
    second: Tensor

    def move(self, touched: Tensor) -> None:
        """Do one step; `touched` is 1 for rows of the batch and 0 for others, shape (rows, 1)."""
        ...

    def rates(self, learning_rates: list[float], *, steps_before: int) -> list[float]:
        """Return the step sizes of consecutive steps from their learning rates."""
        ...

    def resume(self, steps: int) -> None:
        """Continue after this many steps; the moments must be set already."""
        ...

    def state(self) -> list[Tensor]:
        """Return all tensors that a step changes."""
        ...


class AdamOnAllRows:
    """Torch's fused Adam, which moves all rows, in the batch or not.

    Args:
        weight: The rows.
        gradient: Their gradient.
    """

    def __init__(self, weight: Tensor, gradient: Tensor) -> None:
        # On CUDA torch's kernel reads the rate as a float32, whatever the precision of the rows.
        rate_type = torch.float32 if weight.is_cuda else weight.dtype
        self.rate = torch.zeros((), dtype=rate_type, device=weight.device)
        self.first, self.second = torch.zeros_like(weight), torch.zeros_like(weight)
        self._steps = torch.zeros((), device=weight.device)
        self._weight, self._gradient = weight, gradient

    def move(self, touched: Tensor) -> None:  # noqa: ARG002 - all rows move
        """Do one step."""
        # As a function: torch's optimizer would warn about steps outside the CUDA graph, such as sampled ones.
        adam(
            [self._weight],
            [self._gradient],
            [self.first],
            [self.second],
            [],
            [self._steps],
            fused=True,
            capturable=True,
            amsgrad=False,
            beta1=BETA_1,
            beta2=BETA_2,
            lr=self.rate,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )

    def rates(self, learning_rates: list[float], *, steps_before: int) -> list[float]:  # noqa: ARG002
        """Return the learning rates: torch's kernel corrects the bias of the moments itself."""
        return learning_rates

    def resume(self, steps: int) -> None:
        """Continue after this many steps."""
        self._steps.fill_(steps)

    def state(self) -> list[Tensor]:
        """Return all tensors that a step changes."""
        return [self._weight, self.first, self.second, self._steps]


class AdamOnTouchedRows:
    """Adam with the semantics of torch's `SparseAdam`: rows that are not in the batch do not change.

    Only the device knows the number of rows in the batch, so the operations run over all rows, with a mask.

    Args:
        weight: The rows.
        gradient: Their gradient; a step overwrites it.
    """

    def __init__(self, weight: Tensor, gradient: Tensor) -> None:
        self.rate = torch.zeros((), dtype=weight.dtype, device=weight.device)
        self.first, self.second = torch.zeros_like(weight), torch.zeros_like(weight)
        self._weight, self._gradient = weight, gradient

    def move(self, touched: Tensor) -> None:
        """Do one step."""
        gradient = self._gradient
        self.first.lerp_(gradient, touched * (1 - BETA_1))
        self.second.lerp_(gradient.square_(), touched * (1 - BETA_2))
        torch.sqrt(self.second, out=gradient).add_(EPSILON)
        torch.div(self.first, gradient, out=gradient)
        self._weight.sub_(gradient.mul_(touched * self.rate))

    def rates(self, learning_rates: list[float], *, steps_before: int) -> list[float]:
        """Return each learning rate with the correction for the bias of the moments."""
        return [
            rate * (1 - BETA_2**step) ** 0.5 / (1 - BETA_1**step)
            for step, rate in enumerate(learning_rates, start=steps_before + 1)
        ]

    def resume(self, steps: int) -> None:
        """Do nothing: the number of steps is in the rates."""

    def state(self) -> list[Tensor]:
        """Return all tensors that a step changes."""
        return [self._weight, self.first, self.second]
