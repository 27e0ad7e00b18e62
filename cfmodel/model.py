"""The model: biased matrix factorisation."""

from collections.abc import Mapping
from functools import cache, reduce
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from cfmodel.column_statistics import RatingScale
from cfmodel.errors import ConfigError
from cfmodel.tables import SIDES, TABLES, TERMS, Side, Table, Term


class SideRows(NamedTuple):
    """One side's part of B predictions.

    Attributes:
        vectors: The side's factor of every dot product, shape (B, D).
        offset: Sum of the terms that depend on this side alone, in standard deviations, shape (B,).
    """

    vectors: Tensor
    offset: Tensor


class CollaborativeFiltering(nn.Module):
    """Biased matrix factorisation.

        prediction = global_mean + rating_std * (user_bias + movie_bias + <user_embedding, movie_embedding>)

    The tables learn standardized ratings, `(rating - global_mean) / rating_std`, so that learning rate, penalty and
    gradients mean the same on any scale of ratings; the sum in brackets is the `score`.

    `cfmodel.tables` declares the tables and terms. A subclass may declare others in `TABLES` and `TERMS`: all
    other code gets names, rows, terms and weights from this class.

    Args:
        num_users: Rows of the user tables, U.
        num_movies: Rows of the movie tables, M.
        embedding_dim: Numbers in a taste vector, K.
        scale: Mean and standard deviation of the training ratings; buffers, not trained.
        init_std: Standard deviation of the initial embeddings; None: zeros, for tables that will be loaded.
            Biases start at zero. PyTorch's default of 1 gives initial predictions a spread of sqrt(K), some
            7 standard deviations of the ratings at K = 50.
        generator: Random stream of the initial embeddings; None: torch's global one.

    Attributes:
        num_rows: Rows of each side's tables.
        embedding_dim: K.

    Raises:
        ConfigError: A size is below 1.

    Source: Koren, Bell & Volinsky, "Matrix Factorization Techniques for Recommender Systems" (2009).
    """

    TABLES: ClassVar[tuple[Table, ...]] = TABLES
    TERMS: ClassVar[tuple[Term, ...]] = TERMS

    global_mean: Tensor
    rating_std: Tensor

    def __init__(
        self,
        num_users: int,
        num_movies: int,
        embedding_dim: int = 50,
        *,
        scale: RatingScale = RatingScale(),
        init_std: float | None = 0.01,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if min(num_users, num_movies, embedding_dim) < 1:
            raise ConfigError(
                f"a model needs at least one user, one movie and one dimension, "
                f"not {num_users} users, {num_movies} movies, {embedding_dim} dimensions"
            )
        self.num_rows: dict[Side, int] = {"user": num_users, "movie": num_movies}
        self.embedding_dim = embedding_dim
        for table in self.TABLES:
            weight = torch.zeros(self.num_rows[table.side], table.width or embedding_dim)
            if table.width is None and init_std is not None:
                weight.normal_(0.0, init_std, generator=generator)
            # From values: nn.Embedding would draw its own from torch's global stream, only for us to discard them.
            self.add_module(table.name, nn.Embedding.from_pretrained(weight, freeze=False))  # type: ignore[no-untyped-call]
        self.register_buffer("global_mean", torch.tensor(scale.mean, dtype=torch.float64))
        self.register_buffer("rating_std", torch.tensor(scale.std, dtype=torch.float64))

    @property
    def scale(self) -> RatingScale:
        """Mean and standard deviation of the training ratings."""
        return RatingScale(float(self.global_mean), float(self.rating_std))

    @classmethod
    def table_names(cls) -> tuple[str, ...]:
        """Return the names of the tables in the order of declaration."""
        return tuple(table.name for table in cls.TABLES)

    @classmethod
    def bias_table(cls, side: Side) -> Table | None:
        """Return a side's first table whose rows are single numbers; None if there is none."""
        return next((table for table in cls.TABLES if table.side == side and table.width == 1), None)

    def weights(self) -> dict[str, nn.Parameter]:
        """Return each table's weights by name, in the order of declaration, shape (rows, width)."""
        return {name: self.get_parameter(f"{name}.weight") for name in self.table_names()}

    def forward(self, user_idx: Tensor, movie_idx: Tensor) -> Tensor:
        """Predict ratings for known rows.

        Args:
            user_idx: Rows of the user tables, integers in [0, U), shape (B,).
            movie_idx: Rows of the movie tables, integers in [0, M), shape (B,).

        Returns:
            Predictions in rating units, not clamped, float64, shape (B,).

        Raises:
            IndexError: A row is outside its table (on the CPU).
        """
        return self.in_rating_units(self.combine(self.look_up(user_idx, movie_idx)))

    def in_rating_units(self, score: Tensor) -> Tensor:
        """Return predictions in rating units, float64, from scores of any shape."""
        return self.global_mean + self.rating_std * score.double()

    def look_up(self, user_idx: Tensor, movie_idx: Tensor) -> dict[str, Tensor]:
        """Return the rows of a batch by table, shape (B, width), for predictions and for the loss's penalty."""
        index = {"user": user_idx, "movie": movie_idx}
        return {table.name: getattr(self, table.name)(index[table.side]) for table in self.TABLES}

    def combine(self, rows: Mapping[str, Tensor]) -> Tensor:
        """Return the scores from the rows of a batch, in standard deviations, shape (B,)."""
        user, movie = (self.side_rows(side, rows) for side in SIDES)
        scores: Tensor = (user.offset + movie.offset) + (user.vectors * movie.vectors).sum(dim=1)
        return scores

    def side_rows(self, side: Side, rows: Mapping[str, Tensor] | None = None) -> SideRows:
        """Return one side's part of scores.

            score = user.offset + movie.offset + <user.vectors, movie.vectors>

        Args:
            side: `user` or `movie`.
            rows: Rows by table, shape (B, width); None: all rows of the model, without gradients.
        """
        if rows is None:
            names = (table.name for table in self.TABLES if table.side == side)
            rows = {name: self.get_parameter(f"{name}.weight").detach() for name in names}
        products, own = self._tables_of(side)
        vectors, offsets = [rows[name] for name in products], [rows[name].squeeze(1) for name in own]
        if len(vectors) == 1 and offsets:
            return SideRows(vectors[0], reduce(torch.add, offsets))
        some = next(rows[table.name] for table in self.TABLES if table.side == side)
        none = some.new_zeros(len(some))
        return SideRows(torch.cat([some[:, :0], *vectors], dim=1), reduce(torch.add, offsets, none))

    @classmethod
    @cache  # asked for in every step
    def _tables_of(cls, side: Side) -> tuple[list[str], list[str]]:
        """Return a side's tables that are in dot products, and those that are terms by themselves."""
        named = [(getattr(term, side), bool(term.user and term.movie)) for term in cls.TERMS]
        return [name for name, product in named if product], [name for name, product in named if name and not product]

    def terms(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return each term of the scores, in standard deviations, by display name, shape (B,)."""
        row_names = {table.name: table.row for table in self.TABLES}
        terms = {}
        for term in self.TERMS:
            tables = [name for name in (term.user, term.movie) if name]
            product = reduce(torch.mul, (rows[name] for name in tables))
            terms[" · ".join(row_names[name] for name in tables)] = product.sum(dim=1)
        return terms

    @torch.no_grad()
    def score(self, user_idx: Tensor, movie_idx: Tensor) -> Tensor:
        """Return scores for rows that may be cold, that is negative.

        A cold side adds neither its own terms nor dot products: the score falls back to the known side's own terms.

        Args:
            user_idx: Rows of the user tables, negative where cold, shape (B,).
            movie_idx: Rows of the movie tables, negative where cold, shape (B,).

        Returns:
            Scores in standard deviations, shape (B,).
        """
        warm_user, warm_movie = user_idx >= 0, movie_idx >= 0
        rows = self.look_up(user_idx.clamp(min=0), movie_idx.clamp(min=0))
        user, movie = (self.side_rows(side, rows) for side in SIDES)
        dot = (user.vectors * movie.vectors).sum(dim=1)
        scores: Tensor = user.offset * warm_user + movie.offset * warm_movie + dot * (warm_user & warm_movie)
        return scores
