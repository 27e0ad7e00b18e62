"""Top-k lists over the whole catalogue, exact, in blocks of users.

Ties are broken by the lower movie row, so that a list depends on the scores alone.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cfmodel.errors import ConfigError
from cfmodel.history import SeenMovies
from cfmodel.model import CollaborativeFiltering

#: Scores held at once, 64 MB in float32: the whole cost in memory, whatever the number of users.
BLOCK_SCORES = 2**24

#: From rows of users, shape (B,), to a fresh table of scores over the catalogue, shape (B, M).
Scorer = Callable[[Tensor], Tensor]


def catalogue_scores(model: CollaborativeFiltering) -> Scorer:
    """Return a scorer that orders the catalogue as the model does.

        score = movie_bias + <user_embedding, movie_embedding>

    Global mean and user bias are left out: they are the same for every movie of a user, and adding
    them would only round small differences away. A cold user's scores are the movie biases.
    """
    movie_biases = model.movie_biases.weight.detach().squeeze(1)
    movie_embeddings = model.movie_embeddings.weight.detach()
    user_embeddings = model.user_embeddings.weight.detach()

    def scores(user_idx: Tensor) -> Tensor:
        users = user_embeddings[user_idx.clamp(min=0)] * (user_idx >= 0).unsqueeze(1)
        return torch.addmm(movie_biases, users, movie_embeddings.T)

    return scores


def popularity_scores(counts: npt.NDArray[np.int64], *, device: torch.device | str = "cpu") -> Scorer:
    """Return a scorer that gives everybody the movies with most training ratings first.

    Scores are ranks, not counts: float32 holds every one of them exactly up to 16,777,216 movies.

    Args:
        counts: Training ratings of each movie, shape (M,).
        device: Where the scores are wanted.
    """
    order = np.argsort(-counts, kind="stable")
    ranks = np.empty(len(counts), np.float32)
    ranks[order] = np.arange(len(counts), 0, -1)
    table = torch.from_numpy(ranks).to(device)

    def scores(user_idx: Tensor) -> Tensor:
        return table.repeat(len(user_idx), 1)

    return scores


def top_k(
    scores: Scorer,
    user_idx: npt.NDArray[np.integer[Any]],
    *,
    k: int,
    num_movies: int,
    seen: SeenMovies | None = None,
    device: torch.device | str = "cpu",
    on_block: Callable[[int], None] | None = None,
) -> npt.NDArray[np.int64]:
    """Return each user's k best movies over the whole catalogue, best first.

    Args:
        scores: Scores of a block of users over the catalogue.
        user_idx: Rows of the users, negative where cold, shape (N,).
        k: Length of the lists.
        num_movies: Movies in the catalogue, M.
        seen: Movies to leave out; None leaves out none.
        device: Where the scores are made.
        on_block: Called after every block with the number of users done.

    Returns:
        Movie rows, int64, shape (N, k); -1 where a user has fewer than k movies left.

    Raises:
        ConfigError: k is below 1.
    """
    if k < 1:
        raise ConfigError(f"a list holds at least one movie, not k = {k}")
    lists = np.full((len(user_idx), k), -1, np.int64)
    block = max(1, BLOCK_SCORES // max(1, num_movies))
    for start in range(0, len(user_idx), block):
        users = user_idx[start : start + block]
        table = scores(torch.from_numpy(users.astype(np.int64)).to(device))
        if seen is not None:
            _leave_out(table, *seen.cells(users))
        best = _best(table, min(k, num_movies))
        lists[start : start + block, : best.shape[1]] = best.cpu().numpy()
        if on_block is not None:
            on_block(min(start + block, len(user_idx)))
    return lists


def _leave_out(table: Tensor, positions: npt.NDArray[np.int64], movies: npt.NDArray[np.int32]) -> None:
    rows, columns = (torch.from_numpy(cells.astype(np.int64)).to(table.device) for cells in (positions, movies))
    table[rows, columns] = -torch.inf


def _best(table: Tensor, k: int) -> Tensor:
    """Return the columns of the k highest scores of each row, lower column first among equals; -1 for -inf."""
    # One more than asked for: it tells whether a tie straddles the end of the list, where topk chooses as it likes.
    values, columns = table.topk(min(k + 1, table.shape[1]), dim=1)
    if values.shape[1] > k:
        tied = values[:, k] == values[:, k - 1]
        values, columns = values[:, :k].clone(), columns[:, :k].clone()
        if tied.any():
            columns[tied] = _lowest_columns(table[tied], values[tied, -1:], k)
    columns = columns.sort(dim=1).values
    values, order = table.gather(1, columns).sort(dim=1, descending=True, stable=True)
    return columns.gather(1, order).masked_fill(values == -torch.inf, -1)


def _lowest_columns(table: Tensor, last: Tensor, k: int) -> Tensor:
    """Return, rising, the columns above each row's last score, then filled up to k by the lowest ones at it."""
    above, at = table > last, table == last
    room = k - above.sum(dim=1, keepdim=True)
    chosen = above | (at & (at.cumsum(dim=1, dtype=torch.int32) <= room))
    return chosen.nonzero()[:, 1].view(-1, k)
