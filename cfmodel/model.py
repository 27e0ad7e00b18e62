"""The model: four tables that score, nothing else."""

import torch
from torch import Tensor, nn

from cfmodel.errors import ConfigError


class CollaborativeFiltering(nn.Module):
    """Biased matrix factorisation.

        prediction = global_mean + user_bias + movie_bias + <user_embedding, movie_embedding>

    Args:
        num_users: Rows of the user tables, U.
        num_movies: Rows of the movie tables, M.
        embedding_dim: Numbers in a taste vector, K.
        global_mean: Mean of the training ratings, in rating units; a buffer, not trained.
        init_std: Standard deviation of the initial embeddings. Biases start at zero. PyTorch's
            default of 1 gives initial predictions a spread of sqrt(K), some 7 stars at K = 50.
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
        init_std: float = 0.01,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if min(num_users, num_movies, embedding_dim) < 1:
            raise ConfigError(
                f"a model needs at least one user, one movie and one dimension, "
                f"not {num_users} users, {num_movies} movies, {embedding_dim} dimensions"
            )
        self.user_embeddings = nn.Embedding(num_users, embedding_dim)
        self.user_biases = nn.Embedding(num_users, 1)
        self.movie_embeddings = nn.Embedding(num_movies, embedding_dim)
        self.movie_biases = nn.Embedding(num_movies, 1)
        self.register_buffer("global_mean", torch.tensor(float(global_mean)))
        with torch.no_grad():
            for table in (self.user_embeddings, self.movie_embeddings):
                table.weight.normal_(0.0, init_std, generator=generator)
            for table in (self.user_biases, self.movie_biases):
                table.weight.zero_()

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
        dot = (self.user_embeddings(user_idx) * self.movie_embeddings(movie_idx)).sum(dim=1)
        biases = self.user_biases(user_idx) + self.movie_biases(movie_idx)
        predictions: Tensor = self.global_mean + biases.squeeze(1) + dot
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
