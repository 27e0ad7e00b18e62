"""All tables as one tensor, so that a step looks up, adds up and moves rows of a single table."""

import torch
from torch import Tensor

from cfmodel.model import CollaborativeFiltering
from cfmodel.tables import SIDES, Side
from cfmodel.training.engines.row_layout import table_parts

#: Rows are padded to a multiple of so many numbers: 16 bytes in float32, what a GPU's thread reads at once.
_LANES = 4


class PackedTables:
    """A model's tables packed into one, of which the model's own become views.

        a user's row     embedding, bias, 1, 0 ...
        a movie's row    embedding, 1, bias, 0 ...

    See `row_layout`. Users come first.

    Args:
        model: Its tables are moved here.

    Attributes:
        weight: The rows of all users and movies, shape (U + M, W).
        num_users: Rows of the user tables, U.
        dim: Numbers in an embedding, K.
    """

    @torch.no_grad()
    def __init__(self, model: CollaborativeFiltering) -> None:
        weights = model.weights()
        self.num_users, self.dim = model.num_rows["user"], model.embedding_dim
        width = -(-(self.dim + 2) // _LANES) * _LANES
        some = next(iter(weights.values()))
        self.weight = some.detach().new_zeros(sum(model.num_rows.values()), width)
        for constant in self.constants(self.weight):
            constant.fill_(1.0)
        for name, view in self.views(self.weight).items():
            weights[name].data = view.copy_(weights[name].detach())

    def rows(self, packed: Tensor, side: Side) -> Tensor:
        """Return a side's rows of a tensor packed like `weight`, sharing its memory."""
        return packed[: self.num_users] if side == "user" else packed[self.num_users :]

    def views(self, packed: Tensor) -> dict[str, Tensor]:
        """Return each table's part of a tensor packed like `weight`, (rows, K) or (rows, 1), sharing its memory."""
        parts = (table_parts(self.rows(packed, side), side, self.dim) for side in SIDES)
        return {name: part for of_side in parts for name, part in of_side.items()}

    def embeddings(self, packed: Tensor) -> Tensor:
        """Return the embeddings of users and movies alike, shape (U + M, K), sharing the tensor's memory."""
        return packed[:, : self.dim]

    def constants(self, packed: Tensor) -> tuple[Tensor, Tensor]:
        """Return what stands beside the other side's biases, shapes (U,) and (M,), sharing the tensor's memory."""
        return packed[: self.num_users, self.dim + 1], packed[self.num_users :, self.dim]
