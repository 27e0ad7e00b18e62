"""One update: predict, measure the error, differentiate, clip, move."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from cfmodel.gradients.measuring.probe import Probe
from cfmodel.model import CollaborativeFiltering
from cfmodel.optimizer import clip_coefficient_of
from cfmodel.training.batching.batches import DeviceRatings


@dataclass(frozen=True, eq=False)
class Loss:
    """What one batch's loss is made of, on the device.

    Attributes:
        total: What is differentiated: `mean_squared_error + regularization * penalty`.
        mean_squared_error: Mean squared error of the predictions, in rating units squared.
        error: Rating less prediction, in rating units, shape (B,); the others are scalars.
    """

    total: Tensor
    mean_squared_error: Tensor
    error: Tensor


@dataclass(frozen=True, eq=False)
class GradNorms:
    """L2 norms of the gradients before clipping; tensors on the device.

    Attributes:
        tables: Norm of each gradient, in the order given, shape (T,).
        total: Norm of all gradients together, a scalar.
        coefficient: What all gradients were multiplied by, at most 1, a scalar.
    """

    tables: Tensor
    total: Tensor
    coefficient: Tensor


def loss_of(model: CollaborativeFiltering, batch: DeviceRatings, *, regularization: float) -> Loss:
    """Return the squared-error loss of a batch, with the penalty on the rows it looks up.

        mean over the batch of (rating - prediction)^2
            + regularization * sum over the penalized tables of |row|^2, of both embeddings

    A row is thus held back in proportion to how often it is rated, and one that no rating of the
    batch touches has a gradient of exactly zero. Biases are left free: held back in this way, they
    would be too small by the same share however well they are known.

    Args:
        model: The tables.
        batch: B ratings with rows in range.
        regularization: Weight of the penalty, in rating units squared over weight units squared.
    """
    rows = model.look_up(batch.user_idx, batch.movie_idx)
    error = batch.rating - model.combine(rows)
    mean_squared_error = error.square().mean()
    return Loss(mean_squared_error + regularization * penalty_of(model, rows), mean_squared_error, error)


def penalty_of(model: CollaborativeFiltering, rows: Mapping[str, Tensor]) -> Tensor:
    """Return the mean over the batch of the squared L2 norms of the penalized rows."""
    return reduce(torch.add, [rows[table.name].square().sum(dim=1) for table in model.TABLES if table.penalized]).mean()


@torch.no_grad()
def clip_gradients(gradients: Sequence[Tensor], max_grad_norm: float) -> GradNorms:
    """Scale gradients in place so that their joint norm is at most `max_grad_norm`.

        coefficient = min(1, max_grad_norm / (total + 1e-6))

    The rule of `torch.nn.utils.clip_grad_norm_`, but the norms of the parts come back too, and
    nothing waits for the device.

    Args:
        gradients: T gradients of any shapes on one device; changed in place.
        max_grad_norm: Largest joint L2 norm left as it is.

    Source: Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks" (2013).
    """
    tables = torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients])
    total = torch.linalg.vector_norm(tables)
    coefficient = clip_coefficient_of(total, max_grad_norm)
    for gradient in gradients:
        gradient.mul_(coefficient)
    return GradNorms(tables, total, coefficient)


def update(
    model: CollaborativeFiltering,
    optimizer: torch.optim.Optimizer,
    batch: DeviceRatings,
    *,
    regularization: float,
    max_grad_norm: float,
    probe: Probe | None = None,
) -> tuple[Loss, GradNorms]:
    """Do one step and return what it saw, on the device: reading a number back here would make it wait.

    A `probe` looks at the gradients before they are clipped and at the weights after they have moved.
    """
    optimizer.zero_grad()
    loss = loss_of(model, batch, regularization=regularization)
    loss.total.backward()  # type: ignore[no-untyped-call]
    if probe is not None:
        probe.before({"user": batch.user_idx, "movie": batch.movie_idx}, loss.error.detach())
    norms = clip_gradients([table.grad for table in model.parameters() if table.grad is not None], max_grad_norm)
    if isinstance(optimizer, torch.optim.SparseAdam):
        _keep_rows(model, batch)
    optimizer.step()
    if probe is not None:
        probe.after()
    return loss, norms


def _keep_rows(model: CollaborativeFiltering, batch: DeviceRatings) -> None:
    """Make gradients sparse, with the rows that the batch looked up.

    Only now: norms and clipping need every row's whole gradient, which torch's own clipping refuses
    to take from a sparse one.
    """
    touched = {"user": torch.unique(batch.user_idx.long()), "movie": torch.unique(batch.movie_idx.long())}
    weights = model.weights()
    for table in model.TABLES:
        weight, rows = weights[table.name], touched[table.side]
        if weight.grad is not None:
            weight.grad = torch.sparse_coo_tensor(
                rows.unsqueeze(0), weight.grad[rows], weight.shape, is_coalesced=True, check_invariants=False
            )
