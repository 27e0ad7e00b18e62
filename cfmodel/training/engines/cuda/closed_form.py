"""One step in closed form: the gradient written out, no autograd, and not a number read back."""

from typing import NamedTuple

import torch
from torch import Tensor

from cfmodel.optimizer import clip_coefficient_of
from cfmodel.training.engines.cuda.device_epoch import Batch, DeviceEpoch
from cfmodel.training.engines.cuda.packed_adam import PackedAdam
from cfmodel.training.engines.cuda.packed_tables import PackedTables


class Differentiated(NamedTuple):
    """A step between its gradient and its update.

    Attributes:
        batch: Its ratings.
        error: Rating less prediction, 0 where a rating does not count, shape (L,).
        coefficient: What clipping multiplies the gradient by, a scalar.
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

        d loss / d user_row = 2 / B * sum over the user's ratings of (-error * movie_row + regularization * user_row)

    and likewise for movies: rows are as `PackedTables` has them, the penalty is on their embeddings alone, and the loss
    is that of `loss_of`.

    Args:
        tables: What is learned.
        epoch: Where the batches are.
        adam: What moves the rows.
        gradient: Room for the rows' gradient.
        global_mean: In rating units, a scalar.
        regularization: Weight of the penalty.
        max_grad_norm: Largest joint norm that is left as it is.
    """

    def __init__(
        self,
        tables: PackedTables,
        epoch: DeviceEpoch,
        adam: PackedAdam,
        *,
        gradient: Tensor,
        global_mean: Tensor,
        regularization: float,
        max_grad_norm: float,
    ) -> None:
        self._tables, self._epoch, self._adam, self._gradient = tables, epoch, adam, gradient
        self._global_mean, self._regularization = global_mean, regularization
        self._max_grad_norm = max_grad_norm
        self._counts = gradient.new_zeros(len(gradient))
        self._column = torch.arange(0, device=gradient.device)

    @property
    def room(self) -> int:
        """Most ratings that a step has room for, L."""
        return len(self._column)

    @room.setter
    def room(self, size: int) -> None:
        self._column = torch.arange(size, device=self._gradient.device)

    def run(self) -> None:
        """Do the next step of the epoch."""
        self.move(self.differentiate())

    @torch.no_grad()
    def differentiate(self) -> Differentiated:
        """Leave the gradient of the next batch's loss in its room, not clipped yet."""
        batch = self._epoch.batch(self._column)
        rows = self._tables.weight.index_select(0, batch.rows.flatten()).view(2, self.room, -1)
        predictions = self._global_mean + (rows[0] * rows[1]).sum(dim=1)
        error = torch.where(batch.kept, batch.rating - predictions, 0.0)
        scale = 2 / batch.size.to(error.dtype)
        self._add_up(batch, rows, error * -scale)
        self._pull(scale * self._regularization)
        norms, total, coefficient = self._norms()
        numbers, places = self._seen(batch, error, scale / 2, total, coefficient)
        return Differentiated(batch, error, coefficient, torch.cat([numbers, norms]), places)

    @torch.no_grad()
    def move(self, step: Differentiated) -> None:
        """Clip the gradient, move the rows and go on to the next batch."""
        self._gradient.mul_(step.coefficient)
        self._adam.rate.copy_(self._epoch.rate().squeeze(0))
        self._adam.move((self._counts > 0).to(self._gradient.dtype).unsqueeze(1))
        self._epoch.end_step(step.numbers, step.places)

    def _add_up(self, batch: Batch, rows: Tensor, factor: Tensor) -> None:
        """Add up the squared error's part of the gradient, and how often each row is looked up."""
        index, parts = batch.rows.flatten(), torch.empty_like(rows)
        torch.mul(rows[1], factor.unsqueeze(1), out=parts[0])
        torch.mul(rows[0], factor.unsqueeze(1), out=parts[1])
        self._gradient.zero_().index_add_(0, index, parts.view(len(index), -1))
        for constant in self._tables.constants(self._gradient):
            constant.zero_()
        self._counts.zero_().index_add_(0, index, batch.kept.to(factor.dtype).repeat(2))

    def _pull(self, strength: Tensor) -> None:
        """Add the penalty's part, which needs only how often a row is looked up."""
        embeddings, gradient = (self._tables.embeddings(packed) for packed in (self._tables.weight, self._gradient))
        gradient.addcmul_(embeddings, (self._counts * strength).unsqueeze(1))

    def _norms(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the norm of each table's gradient, that of all and the coefficient; see `clip_gradients`."""
        norms = torch.stack([torch.linalg.vector_norm(view) for view in self._tables.views(self._gradient).values()])
        total = torch.linalg.vector_norm(norms)
        return norms, total, clip_coefficient_of(total, self._max_grad_norm)

    def _seen(
        self, batch: Batch, error: Tensor, share: Tensor, total: Tensor, coefficient: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return what the step's record holds beside the tables' norms; `share` is one over the batch's size."""
        squared_error = error.square().sum() * share
        lengths = torch.linalg.vector_norm(self._tables.embeddings(self._tables.weight), dim=1)
        penalty = (self._counts * lengths.square()).sum() * share
        largest, column = error.abs().max(dim=0, keepdim=True)
        touched = self._counts > 0
        users, movies = touched[: self._tables.num_users].sum(), touched[self._tables.num_users :].sum()
        numbers = [
            squared_error + self._regularization * penalty, squared_error, total.view(1), coefficient.view(1), largest,
        ]  # fmt: skip
        return torch.cat(numbers), torch.cat([batch.first + column, users.view(1), movies.view(1)])
