"""One update step: predict, compute the loss, differentiate, clip, apply Adam."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from cfmodel.gradients.measuring.probe import Probe
from cfmodel.model import CollaborativeFiltering
from cfmodel.optimizer import tensor_clip_coefficient
from cfmodel.training.batching.batches import DeviceRatings


@dataclass(frozen=True, eq=False)
class Loss:
    """The loss of one batch, on the device.

    Attributes:
        total: The loss: `mean_squared_error` and the penalty, a scalar.
        mean_squared_error: Mean squared error of the scores, as a share of the ratings' variance, a scalar.
        error: Standardized rating less score, shape (B,).
    """

    total: Tensor
    mean_squared_error: Tensor
    error: Tensor


@dataclass(frozen=True, eq=False)
class GradNorms:
    """L2 norms of the gradients before clipping, on the device.

    Attributes:
        tables: Norm of each gradient, in the order given, shape (T,).
        total: Joint norm of all gradients, a scalar.
        coefficient: Factor by which clipping scaled all gradients, at most 1, a scalar.
    """

    tables: Tensor
    total: Tensor
    coefficient: Tensor


def loss_of(model: CollaborativeFiltering, batch: DeviceRatings, *, penalty: Mapping[str, Tensor]) -> Loss:
    """Return the squared-error loss of a batch, with the penalty on the rows it looks up.

        mean over the batch of (standardized rating - score)^2 + sum over the tables of weight * |row|^2

    with the weights of `Penalty`, so that over all ratings a row is pulled by `weight * n`. A row without a rating
    in the batch has a gradient of exactly zero.

    Args:
        model: The model.
        batch: B ratings with rows in range.
        penalty: Weight for each rating of a row, by table, shape (rows,).
    """
    rows = model.look_up(batch.user_idx, batch.movie_idx)
    error = batch.rating - model.combine(rows)
    mean_squared_error = error.square().mean()
    return Loss(mean_squared_error + _penalty(model, rows, batch, penalty), mean_squared_error, error)


def _penalty(
    model: CollaborativeFiltering, rows: Mapping[str, Tensor], batch: DeviceRatings, weights: Mapping[str, Tensor]
) -> Tensor:
    """Return the mean over the batch of the penalty on the rows of each rating."""
    index = {"user": batch.user_idx, "movie": batch.movie_idx}
    of_tables = (
        weights[table.name][index[table.side]].to(rows[table.name].dtype) * rows[table.name].square().sum(dim=1)
        for table in model.TABLES
    )
    return reduce(torch.add, of_tables).mean()


@torch.no_grad()
def clip_gradients(gradients: Sequence[Tensor], max_grad_norm: float) -> GradNorms:
    """Scale gradients in place so that their joint norm is at most `max_grad_norm`.

        coefficient = min(1, max_grad_norm / (total + 1e-6))

    The same as `torch.nn.utils.clip_grad_norm_`, but it returns the norm of each gradient, too, and does not
    wait for the device.

    Args:
        gradients: T gradients of any shapes on one device; changed in place.
        max_grad_norm: Largest joint L2 norm that is not scaled down.

    Source: Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks" (2013).
    """
    tables = torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients])
    total = torch.linalg.vector_norm(tables)
    coefficient = tensor_clip_coefficient(total, max_grad_norm)
    for gradient in gradients:
        gradient.mul_(coefficient)
    return GradNorms(tables, total, coefficient)


def update(
    model: CollaborativeFiltering,
    optimizer: torch.optim.Optimizer,
    batch: DeviceRatings,
    *,
    penalty: Mapping[str, Tensor],
    max_grad_norm: float,
    probe: Probe | None = None,
) -> tuple[Loss, GradNorms]:
    """Do one step and return its loss and norms, on the device, without waiting for it.

    A `probe` measures the gradients before they are clipped, and the weights after the update.
    """
    optimizer.zero_grad()
    loss = loss_of(model, batch, penalty=penalty)
    loss.total.backward()  # type: ignore[no-untyped-call]
    if probe is not None:
        probe.measure_gradients({"user": batch.user_idx, "movie": batch.movie_idx}, loss.error.detach())
    norms = clip_gradients([table.grad for table in model.parameters() if table.grad is not None], max_grad_norm)
    if isinstance(optimizer, torch.optim.SparseAdam):
        _make_sparse(model, batch)
    optimizer.step()
    if probe is not None:
        probe.measure_update()
    return loss, norms


def _make_sparse(model: CollaborativeFiltering, batch: DeviceRatings) -> None:
    """Make gradients sparse, with the rows of the batch; after clipping, which needs dense gradients."""
    touched = {"user": torch.unique(batch.user_idx.long()), "movie": torch.unique(batch.movie_idx.long())}
    weights = model.weights()
    for table in model.TABLES:
        weight, rows = weights[table.name], touched[table.side]
        if weight.grad is not None:
            weight.grad = torch.sparse_coo_tensor(
                rows.unsqueeze(0), weight.grad[rows], weight.shape, is_coalesced=True, check_invariants=False
            )
