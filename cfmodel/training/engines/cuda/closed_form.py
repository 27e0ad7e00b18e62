"""One update step with the gradient in closed form, which reads nothing back from the device."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from cfmodel.optimizer import tensor_clip_coefficient
from cfmodel.training.engines.cuda.device_epoch import Batch, DeviceEpoch
from cfmodel.training.engines.cuda.packed_adam import PackedAdam
from cfmodel.training.engines.cuda.packed_tables import PackedTables


class StepGradient(NamedTuple):
    """A step between its gradient and its update.

    Attributes:
        batch: The ratings of the step.
        error: Rating less prediction, 0 for padding, shape (L,).
        coefficient: Factor by which clipping scales the gradient, a scalar.
        numbers: Loss, squared error, total norm, coefficient, largest error and the tables' norms, shape (9,).
        places: Place of the largest error, users and movies touched, shape (3,).
    """

    batch: Batch
    error: Tensor
    coefficient: Tensor
    numbers: Tensor
    places: Tensor


class ClosedFormStep:
    """Computes one step after another of an epoch, on any device.

        d loss / d user_row = 2 / B * sum over the user's ratings of (-error * movie_row + penalty * user_row)

    and likewise for movies. Rows are those of `PackedTables`, and the loss is that of `loss_of`.

    Args:
        tables: The weights.
        epoch: The batches.
        adam: The optimizer.
        gradient: Memory for the rows' gradient.
        penalty: Its weight for each rating of a row, by table, shape (rows,).
        max_grad_norm: Largest joint norm that is not scaled down.
    """

    def __init__(
        self,
        tables: PackedTables,
        epoch: DeviceEpoch,
        adam: PackedAdam,
        *,
        gradient: Tensor,
        penalty: Mapping[str, Tensor],
        max_grad_norm: float,
    ) -> None:
        self._tables, self._epoch, self._adam, self._gradient = tables, epoch, adam, gradient
        self._max_grad_norm = max_grad_norm
        # One column for the embeddings and one for the biases, users first.
        self._penalty = torch.stack(
            [torch.cat([penalty[name] for name in names]) for names in tables.kinds()], dim=1
        ).to(gradient)
        self._counts = gradient.new_zeros(len(gradient))
        self._column = torch.arange(0, device=gradient.device)

    @property
    def capacity(self) -> int:
        """Most ratings of a step, L."""
        return len(self._column)

    @capacity.setter
    def capacity(self, size: int) -> None:
        self._column = torch.arange(size, device=self._gradient.device)

    def run(self) -> None:
        """Do the next step of the epoch."""
        self.move(self.differentiate())

    @torch.no_grad()
    def differentiate(self) -> StepGradient:
        """Write the gradient of the next batch's loss, before clipping."""
        batch = self._epoch.batch(self._column)
        rows = self._tables.weight.index_select(0, batch.rows.flatten()).view(2, self.capacity, -1)
        error = torch.where(batch.kept, batch.rating - (rows[0] * rows[1]).sum(dim=1), 0.0)
        scale = 2 / batch.size.to(error.dtype)
        self._add_up(batch, rows, error * -scale)
        self._add_penalty(scale)
        norms, total, coefficient = self._norms()
        numbers, places = self._log(batch, error, scale / 2, total, coefficient)
        return StepGradient(batch, error, coefficient, torch.cat([numbers, norms]), places)

    @torch.no_grad()
    def move(self, step: StepGradient) -> None:
        """Clip the gradient, apply Adam and advance to the next batch."""
        self._gradient.mul_(step.coefficient)
        self._adam.rate.copy_(self._epoch.rate().squeeze(0))
        self._adam.move((self._counts > 0).to(self._gradient.dtype).unsqueeze(1))
        self._epoch.end_step(step.numbers, step.places)

    def _add_up(self, batch: Batch, rows: Tensor, factor: Tensor) -> None:
        """Add up the squared error's part of the gradient, and the ratings of each row."""
        index, parts = batch.rows.flatten(), torch.empty_like(rows)
        torch.mul(rows[1], factor.unsqueeze(1), out=parts[0])
        torch.mul(rows[0], factor.unsqueeze(1), out=parts[1])
        self._gradient.zero_().index_add_(0, index, parts.view(len(index), -1))
        for constant in self._tables.constants(self._gradient):
            constant.zero_()
        self._counts.zero_().index_add_(0, index, batch.kept.to(factor.dtype).repeat(2))

    def _add_penalty(self, strength: Tensor) -> None:
        """Add the penalty's part of the gradient, from the ratings of each row."""
        pull = self._penalty * (self._counts * strength).unsqueeze(1)
        embeddings, gradient = (self._tables.embeddings(packed) for packed in (self._tables.weight, self._gradient))
        gradient.addcmul_(embeddings, pull[:, :1])
        for bias, slope, part in zip(
            self._tables.biases(self._tables.weight), self._tables.biases(self._gradient),
            self._tables.sides(pull[:, 1]), strict=True,
        ):  # fmt: skip
            slope.addcmul_(bias, part)

    def _norms(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the norm of each table's gradient, the joint norm and the coefficient; see `clip_gradients`."""
        norms = torch.stack([torch.linalg.vector_norm(view) for view in self._tables.views(self._gradient).values()])
        total = torch.linalg.vector_norm(norms)
        return norms, total, tensor_clip_coefficient(total, self._max_grad_norm)

    def _log(
        self, batch: Batch, error: Tensor, share: Tensor, total: Tensor, coefficient: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the numbers of the step's log except the tables' norms; `share` is one over the batch size."""
        squared_error = error.square().sum() * share
        lengths = torch.linalg.vector_norm(self._tables.embeddings(self._tables.weight), dim=1)
        biases = torch.cat(self._tables.biases(self._tables.weight))
        squares = torch.stack([lengths.square(), biases.square()], dim=1)
        penalty = (self._counts * (self._penalty * squares).sum(dim=1)).sum() * share
        largest, column = error.abs().max(dim=0, keepdim=True)
        touched = self._counts > 0
        users, movies = touched[: self._tables.num_users].sum(), touched[self._tables.num_users :].sum()
        numbers = [
            squared_error + penalty, squared_error, total.view(1), coefficient.view(1), largest,
        ]  # fmt: skip
        return torch.cat(numbers), torch.cat([batch.first + column, users.view(1), movies.view(1)])
