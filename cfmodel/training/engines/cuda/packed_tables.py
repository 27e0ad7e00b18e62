"""The four tables as one tensor, so that a step looks up, adds up and moves rows of a single table."""

import torch
from torch import Tensor

from cfmodel.gradients.measuring.touched_rows import side_of
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.engines.row_layout import table_part
from cfmodel.training.epoch_records import TABLES

#: Rows are padded to a multiple of so many numbers: 16 bytes in float32, what a GPU's thread reads at once.
_LANES = 4


class PackedTables:
    """A model's tables packed into one, of which the model's own become views.

        a user's row     embedding, bias, 1, 0 ...
        a movie's row    embedding, 1, bias, 0 ...

    The dot product of two such rows is the prediction less the global mean. Users come first.

    Args:
        model: Its tables are moved here.

    Attributes:
        weight: The rows of all users and movies, shape (U + M, W).
        num_users: Rows of the user tables, U.
        dim: Numbers in an embedding, K.
    """

    @torch.no_grad()
    def __init__(self, model: CollaborativeFiltering) -> None:
        users, movies = model.user_embeddings.weight.detach(), model.movie_embeddings.weight.detach()
        self.num_users, self.dim = users.shape
        width = -(-(self.dim + 2) // _LANES) * _LANES
        self.weight = users.new_zeros(len(users) + len(movies), width)
        for constant in self.constants(self.weight):
            constant.fill_(1.0)
        for name in TABLES:
            table = model.get_submodule(name).get_parameter("weight")
            table.data = self.view(self.weight, name).copy_(table.detach())

    def view(self, packed: Tensor, name: str) -> Tensor:
        """Return one table's part of a tensor packed like `weight`, (rows, K) or (rows, 1), sharing its memory."""
        rows = packed[: self.num_users] if side_of(name) == "user" else packed[self.num_users :]
        return table_part(rows, name, self.dim)

    def embeddings(self, packed: Tensor) -> Tensor:
        """Return the embeddings of users and movies alike, shape (U + M, K), sharing the tensor's memory."""
        return packed[:, : self.dim]

    def constants(self, packed: Tensor) -> tuple[Tensor, Tensor]:
        """Return what stands beside the other side's biases, shapes (U,) and (M,), sharing the tensor's memory."""
        return packed[: self.num_users, self.dim + 1], packed[self.num_users :, self.dim]
