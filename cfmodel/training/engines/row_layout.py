"""How engines lay out a row: embedding, bias and a one side by side."""

from torch import Tensor

from cfmodel.gradients.measuring.touched_rows import side_of


def bias_column(name: str, dim: int) -> int:
    """Return the column of the bias in the rows of a side, or of a table's side; in a movie's it is one further."""
    return dim if side_of(name) == "user" else dim + 1


def table_part(rows: Tensor, name: str, dim: int) -> Tensor:
    """Return a table's part of its side's rows, shape (rows, K) or (rows, 1), sharing their memory."""
    bias = bias_column(name, dim)
    return rows[:, :dim] if name.endswith("embeddings") else rows[:, bias : bias + 1]
