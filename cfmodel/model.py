"""The model: four tables that score, nothing else."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from cfmodel.errors import ConfigError


class Rows(NamedTuple):
    """The rows of the four tables that a batch looked up; shapes (B, K), (B, 1), (B, K), (B, 1)."""

    user_embeddings: Tensor
    user_biases: Tensor
    movie_embeddings: Tensor
    movie_biases: Tensor


class CollaborativeFiltering(nn.Module):
    """Biased matrix factorisation.

        prediction = global_mean + user_bias + movie_bias + <user_embedding, movie_embedding>

    Args:
        num_users: Rows of the user tables, U.
        num_movies: Rows of the movie tables, M.
        embedding_dim: Numbers in a taste vector, K.
        global_mean: Mean of the training ratings, in rating units; a buffer, not trained.
        init_std: Standard deviation of the initial embeddings; None: none are drawn, for tables that are
            read. Biases start at zero. PyTorch's default of 1 gives initial predictions a spread of
            sqrt(K), some 7 stars at K = 50.
        generator: Stream the initial embeddings are drawn from; torch's own if None.

    Raises:
        ConfigError: A size is below 1.

    Source: Koren, Bell & Volinsky, "Matrix Factorization Techniques for Recommender Systems" (2009).
    """

    global_mean: Tensor

    def __init__(
        self,
        num_users: int,
        num_movies: int,
        embedding_dim: int = 50,
        *,
        global_mean: float = 0.0,
        init_std: float | None = 0.01,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if min(num_users, num_movies, embedding_dim) < 1:
            raise ConfigError(
                f"a model needs at least one user, one movie and one dimension, "
                f"not {num_users} users, {num_movies} movies, {embedding_dim} dimensions"
            )
        user, movie = (torch.empty(rows, embedding_dim) for rows in (num_users, num_movies))
        if init_std is not None:
            for table in (user, movie):
                table.normal_(0.0, init_std, generator=generator)
        self.user_embeddings = _table(user)
        self.user_biases = _table(torch.zeros(num_users, 1))
        self.movie_embeddings = _table(movie)
        self.movie_biases = _table(torch.zeros(num_movies, 1))
        self.register_buffer("global_mean", torch.tensor(float(global_mean)))

    def forward(self, user_idx: Tensor, movie_idx: Tensor) -> Tensor:
        """Predict ratings for known rows.

        Args:
            user_idx: Rows of the user tables, integers in [0, U), shape (B,).
            movie_idx: Rows of the movie tables, integers in [0, M), shape (B,).

        Returns:
            Predictions in rating units, not clamped, shape (B,).

        Raises:
            IndexError: A row is outside its table (on the CPU).
        """
        return self.combine(self.look_up(user_idx, movie_idx))

    def look_up(self, user_idx: Tensor, movie_idx: Tensor) -> Rows:
        """Return the rows a batch needs, once, for the prediction and for the loss's penalty alike."""
        return Rows(
            self.user_embeddings(user_idx),
            self.user_biases(user_idx),
            self.movie_embeddings(movie_idx),
            self.movie_biases(movie_idx),
        )

    def combine(self, rows: Rows) -> Tensor:
        """Return the predictions of the rows looked up, in rating units, shape (B,)."""
        dot = (rows.user_embeddings * rows.movie_embeddings).sum(dim=1)
        biases = (rows.user_biases + rows.movie_biases).squeeze(1)
        predictions: Tensor = self.global_mean + biases + dot
        return predictions

    @torch.no_grad()
    def score(self, user_idx: Tensor, movie_idx: Tensor) -> Tensor:
        """Predict ratings where either side may be cold, marked by a negative row.

        A cold side adds neither bias nor dot product, so the prediction falls back to the global
        mean and the known side's bias.

        Args:
            user_idx: Rows of the user tables, negative where cold, shape (B,).
            movie_idx: Rows of the movie tables, negative where cold, shape (B,).

        Returns:
            Predictions in rating units, not clamped, shape (B,).
        """
        warm_user, warm_movie = user_idx >= 0, movie_idx >= 0
        user, movie = user_idx.clamp(min=0), movie_idx.clamp(min=0)
        dot = (self.user_embeddings(user) * self.movie_embeddings(movie)).sum(dim=1)
        user_bias = self.user_biases(user).squeeze(1)
        movie_bias = self.movie_biases(movie).squeeze(1)
        biases = user_bias * warm_user + movie_bias * warm_movie
        predictions: Tensor = self.global_mean + biases + dot * (warm_user & warm_movie)
        return predictions


def _table(weight: Tensor) -> nn.Embedding:
    # Built from values: nn.Embedding's own would be drawn from torch's global stream, then thrown away.
    table: nn.Embedding = nn.Embedding.from_pretrained(weight, freeze=False)  # type: ignore[no-untyped-call]
    return table
