"""All tables as one tensor, so that a step needs one lookup, one sum and one Adam."""

import torch
from torch import Tensor

from cfmodel.model import CollaborativeFiltering
from cfmodel.tables import SIDES, Side
from cfmodel.training.engines.row_layout import FUSED_TABLES, row_width, table_parts

#: Rows are padded to a multiple of this many numbers: 16 bytes in float32, one read of a GPU thread.
_LANES = 4


class PackedTables:
    """A model's tables packed into one tensor, in the layout of `row_layout`, users first.

    Args:
        model: Its tables become views of the tensor.

    Attributes:
        weight: The rows of all users and movies, shape (U + M, W).
        num_users: Rows of the user tables, U.
        dim: Numbers in an embedding, K.
    """

    @torch.no_grad()
    def __init__(self, model: CollaborativeFiltering) -> None:
        weights = model.weights()
        self.num_users, self.dim = model.num_rows["user"], model.embedding_dim
        some = next(iter(weights.values()))
        self.weight = some.detach().new_zeros(sum(model.num_rows.values()), row_width(self.dim, _LANES))
        for constant in self.constants(self.weight):
            constant.fill_(1.0)
        for name, view in self.views(self.weight).items():
            weights[name].data = view.copy_(weights[name].detach())

    def rows(self, packed: Tensor, side: Side) -> Tensor:
        """Return a view of a side's rows in a tensor packed like `weight`."""
        return packed[: self.num_users] if side == "user" else packed[self.num_users :]

    def views(self, packed: Tensor) -> dict[str, Tensor]:
        """Return views of each table in a tensor packed like `weight`, shape (rows, K) or (rows, 1)."""
        parts = (table_parts(self.rows(packed, side), side, self.dim) for side in SIDES)
        return {name: part for of_side in parts for name, part in of_side.items()}

    def embeddings(self, packed: Tensor) -> Tensor:
        """Return a view of the embeddings of users and movies, shape (U + M, K)."""
        return packed[:, : self.dim]

    def biases(self, packed: Tensor) -> tuple[Tensor, Tensor]:
        """Return views of the columns of biases, shapes (U,) and (M,)."""
        return packed[: self.num_users, self.dim], packed[self.num_users :, self.dim + 1]

    def sides(self, column: Tensor) -> tuple[Tensor, Tensor]:
        """Return the users' and the movies' part of a column, shapes (U,) and (M,)."""
        return column[: self.num_users], column[self.num_users :]

    @staticmethod
    def kinds() -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of the embedding tables and of the bias tables, users first."""
        return FUSED_TABLES[::2], FUSED_TABLES[1::2]

    def constants(self, packed: Tensor) -> tuple[Tensor, Tensor]:
        """Return views of the columns of ones, shapes (U,) and (M,)."""
        return packed[: self.num_users, self.dim + 1], packed[self.num_users :, self.dim]
