"""The layout of a row in the fused engines: embedding, bias and a one side by side.

    user   [p_1 .. p_K, user_bias, 1, 0 ..]        movie   [q_1 .. q_K, 1, movie_bias, 0 ..]

The dot product of two such rows is the score.
"""

from torch import Tensor

from cfmodel.model import CollaborativeFiltering
from cfmodel.tables import SIDES, Side, Term

#: The only tables for which the fused steps have a formula.
_EMBEDDINGS: dict[Side, str] = {"user": "user_embeddings", "movie": "movie_embeddings"}
_BIASES: dict[Side, str] = {"user": "user_biases", "movie": "movie_biases"}
#: Their names in the order of their columns in a step's log.
FUSED_TABLES = tuple(name for side in SIDES for name in (_EMBEDDINGS[side], _BIASES[side]))
_TERMS = {
    Term(user=_BIASES["user"]),
    Term(movie=_BIASES["movie"]),
    Term(user=_EMBEDDINGS["user"], movie=_EMBEDDINGS["movie"]),
}
_KINDS = {name: (side, None) for side, name in _EMBEDDINGS.items()} | {
    name: (side, 1) for side, name in _BIASES.items()
}
#: Methods that a model must not override.
_FORMULA = ("look_up", "combine", "side_rows", "forward")


def cannot_train(model: type[CollaborativeFiltering]) -> str | None:
    """Return why the fused steps cannot train a class of model; None if they can."""
    kinds = {table.name: (table.side, table.width) for table in model.TABLES}
    if other := sorted({*kinds.items()} ^ {*_KINDS.items()}):
        names = ", ".join(dict.fromkeys(name for name, _ in other))
        return f"its step is compiled for {', '.join(FUSED_TABLES)}, and {model.__name__} differs in {names}"
    if set(model.TERMS) != _TERMS or len(model.TERMS) != len(_TERMS):
        return f"its step is compiled for other terms than those of {model.__name__}"
    if any(getattr(model, name) is not getattr(CollaborativeFiltering, name) for name in _FORMULA):
        return f"its step is compiled for another formula than that of {model.__name__}"
    return None


def bias_column(side: Side, dim: int) -> int:
    """Return the column of the bias in a side's rows; of the two columns after the embedding, the other holds ones."""
    return dim if side == "user" else dim + 1


def row_width(dim: int, multiple: int) -> int:
    """Return the length of a row, padded to a multiple of some numbers."""
    return -(-(dim + 2) // multiple) * multiple


def table_parts(rows: Tensor, side: Side, dim: int) -> dict[str, Tensor]:
    """Return a side's tables as views of its rows, by name, shape (rows, K) or (rows, 1)."""
    bias = bias_column(side, dim)
    return {_EMBEDDINGS[side]: rows[:, :dim], _BIASES[side]: rows[:, bias : bias + 1]}
