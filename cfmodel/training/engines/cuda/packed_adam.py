"""Adam over packed rows: nothing is read back, so that a step can be recorded once and replayed."""

from typing import Protocol

import torch
from torch import Tensor
from torch.optim.adam import adam

from cfmodel.optimizer import BETA_1, BETA_2, EPSILON


class PackedAdam(Protocol):
    """Moves rows by their gradient.

    Attributes:
        rate: What a step multiplies by, a scalar; set before each `move`.
        first: Running mean of the gradient, shaped as the rows.
        second: Running mean of its square, likewise.
    """

    rate: Tensor
    first: Tensor
    second: Tensor

    def move(self, touched: Tensor) -> None:
        """Do one step; `touched` says which rows the batch looks up, 1 or 0, shape (rows, 1)."""
        ...

    def rates(self, learning_rates: list[float], *, steps_before: int) -> list[float]:
        """Return what each of some steps in a row multiplies by, from its learning rate."""
        ...

    def resume(self, steps: int) -> None:
        """Go on as after so many steps; the moments are set already."""
        ...

    def state(self) -> list[Tensor]:
        """Return all tensors that a step changes."""
        ...


class AdamOnAllRows:
    """Torch's own fused Adam, which moves all rows by what it remembers of them.

    Args:
        weight: Rows to move.
        gradient: Where their gradient will be.
    """

    def __init__(self, weight: Tensor, gradient: Tensor) -> None:
        # On CUDA torch's kernel reads the rate as a float32, whatever the rows are.
        rate_type = torch.float32 if weight.is_cuda else weight.dtype
        self.rate = torch.zeros((), dtype=rate_type, device=weight.device)
        self.first, self.second = torch.zeros_like(weight), torch.zeros_like(weight)
        self._steps = torch.zeros((), device=weight.device)
        self._weight, self._gradient = weight, gradient

    def move(self, touched: Tensor) -> None:  # noqa: ARG002 - all rows move
        """Do one step."""
        # As a function: torch's optimiser warns of each step that is not recorded, such as those that are sampled.
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
        """Return the learning rates: torch's kernel itself corrects for the moments' start at zero."""
        return learning_rates

    def resume(self, steps: int) -> None:
        """Go on as after so many steps."""
        self._steps.fill_(steps)

    def state(self) -> list[Tensor]:
        """Return all tensors that a step changes."""
        return [self._weight, self.first, self.second, self._steps]


class AdamOnTouchedRows:
    """Adam with the semantics of torch's `SparseAdam`: rows that the batch does not look up stay as they are.

    How many rows it does look up only the device knows, so all rows are gone through and the others masked.

    Args:
        weight: Rows to move.
        gradient: Where their gradient will be; a step overwrites it.
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
        """Return each learning rate, corrected for the moments' start at zero."""
        return [
            rate * (1 - BETA_2**step) ** 0.5 / (1 - BETA_1**step)
            for step, rate in enumerate(learning_rates, start=steps_before + 1)
        ]

    def resume(self, steps: int) -> None:
        """Nothing to set: the number of steps is in the rates."""

    def state(self) -> list[Tensor]:
        """Return all tensors that a step changes."""
        return [self._weight, self.first, self.second]
