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
        name: Name in the model, in checkpoints and in metrics.
        row: Name of one row, for people.
        side: Which column of the ratings selects its rows.
        width: Numbers in a row, initially zero; None: `embedding_dim` numbers, initially random.
    """

    name: str
    row: str
    side: Side
    width: int | None = None


@dataclass(frozen=True)
class Term:
    """One term of a prediction: a row of a table of width 1, or the dot product of a user's and a movie's row.

    Attributes:
        user: Table on the user's side; None: the term depends on the movie alone.
        movie: Table on the movie's side; None: the term depends on the user alone.
    """

    user: str | None = None
    movie: str | None = None


TABLES = (
    Table("user_embeddings", "user_embedding", "user"),
    Table("user_biases", "user_bias", "user", width=1),
    Table("movie_embeddings", "movie_embedding", "movie"),
    Table("movie_biases", "movie_bias", "movie", width=1),
)

#: A prediction is the global mean plus these terms; see `CollaborativeFiltering`.
TERMS = (
    Term(user="user_biases"),
    Term(movie="movie_biases"),
    Term(user="user_embeddings", movie="movie_embeddings"),
)
