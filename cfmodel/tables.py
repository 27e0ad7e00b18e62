"""The model's learned tables and the terms of its prediction, each declared once."""

from dataclasses import dataclass
from typing import Literal

Side = Literal["user", "movie"]
#: The two columns of the ratings that select rows.
SIDES: tuple[Side, Side] = ("user", "movie")


@dataclass(frozen=True)
class Table:
    """A learned table.

    Attributes:
        name: Its name in the model, in checkpoints and in metrics.
        row: What one of its rows is called, for people.
        side: Whose rows it has.
        width: Numbers in a row, which start at zero; None: `embedding_dim` of them, drawn at random.
        penalized: Whether the loss's penalty includes its rows.
    """

    name: str
    row: str
    side: Side
    width: int | None = None
    penalized: bool = False


@dataclass(frozen=True)
class Term:
    """One term of the sum that is a prediction.

    The number in a row of one table of width 1, or the dot product of a user's and a movie's row.

    Attributes:
        user: Table on the user's side; None: the term is the movie's alone.
        movie: Table on the movie's side; None: the term is the user's alone.
    """

    user: str | None = None
    movie: str | None = None


TABLES = (
    Table("user_embeddings", "user_embedding", "user", penalized=True),
    Table("user_biases", "user_bias", "user", width=1),
    Table("movie_embeddings", "movie_embedding", "movie", penalized=True),
    Table("movie_biases", "movie_bias", "movie", width=1),
)

#: A prediction is the global mean and these: see `CollaborativeFiltering`.
TERMS = (
    Term(user="user_biases"),
    Term(movie="movie_biases"),
    Term(user="user_embeddings", movie="movie_embeddings"),
)
