"""Rows as the compiled engines have them: one side's embedding, its bias and a one side by side.

    user   [p_1 .. p_K, user_bias, 1, 0 ..]        movie   [q_1 .. q_K, 1, movie_bias, 0 ..]

The dot product of two such rows is the prediction less the global mean.
"""

from torch import Tensor

from cfmodel.model import CollaborativeFiltering
from cfmodel.tables import SIDES, Side, Term

#: The tables that compiled steps know, and what they are to be: their formula is written out for these alone.
EMBEDDINGS: dict[Side, str] = {"user": "user_embeddings", "movie": "movie_embeddings"}
BIASES: dict[Side, str] = {"user": "user_biases", "movie": "movie_biases"}
#: In the order of their columns in a step's log.
TABLES = tuple(name for side in SIDES for name in (EMBEDDINGS[side], BIASES[side]))
_TERMS = {
    Term(user=BIASES["user"]),
    Term(movie=BIASES["movie"]),
    Term(user=EMBEDDINGS["user"], movie=EMBEDDINGS["movie"]),
}
_KINDS = {name: (side, None, True) for side, name in EMBEDDINGS.items()} | {
    name: (side, 1, False) for side, name in BIASES.items()
}
#: What a model must not compute in its own way.
_FORMULA = ("look_up", "combine", "side_rows", "forward")


def cannot_train(model: type[CollaborativeFiltering]) -> str | None:
    """Return why compiled steps cannot train a class of model; None where they can."""
    kinds = {table.name: (table.side, table.width, table.penalized) for table in model.TABLES}
    if other := sorted({*kinds.items()} ^ {*_KINDS.items()}):
        names = ", ".join(dict.fromkeys(name for name, _ in other))
        return f"its step is compiled for {', '.join(TABLES)}, and {model.__name__} differs in {names}"
    if set(model.TERMS) != _TERMS or len(model.TERMS) != len(_TERMS):
        return f"its step is compiled for other terms than those of {model.__name__}"
    if any(getattr(model, name) is not getattr(CollaborativeFiltering, name) for name in _FORMULA):
        return f"its step is compiled for another formula than that of {model.__name__}"
    return None


def bias_column(side: Side, dim: int) -> int:
    """Return the column of the bias in the rows of a side; the other one of two holds the ones."""
    return dim if side == "user" else dim + 1


def table_parts(rows: Tensor, side: Side, dim: int) -> dict[str, Tensor]:
    """Return a side's tables as parts of its rows, by name, shape (rows, K) or (rows, 1), sharing their memory."""
    bias = bias_column(side, dim)
    return {EMBEDDINGS[side]: rows[:, :dim], BIASES[side]: rows[:, bias : bias + 1]}
