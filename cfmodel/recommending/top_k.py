"""Top-k lists over the whole catalogue, exact, in blocks of users.

Among equal scores the lower movie row comes first, so a list depends on the scores alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cfmodel.errors import ConfigError
from cfmodel.model import CollaborativeFiltering
from cfmodel.recommending.rated import SeenMovies

#: Memory for the scores of a block of users: 16 MB stay in or near the CPU's cache.
BLOCK_BYTES = 2**24

#: Movies per chunk of the two-stage search: first the chunks' maxima, then the best chunks' movies.
CHUNK = 64

#: Function that writes the scores of a block of users, rows of shape (B,), into a table of shape (B, M).
Scorer = Callable[[Tensor, Tensor], None]


class Lists(NamedTuple):
    """The best movies of some users, best first.

    Attributes:
        movie_idx: Movie rows, int64, shape (N, k); -1 where a user has fewer than k movies left.
        score: Their scores, float32, or predictions, float64, shape (N, k); -inf where there is no movie.
    """

    movie_idx: npt.NDArray[np.int64]
    score: npt.NDArray[np.floating[Any]]


def catalogue_scores(model: CollaborativeFiltering, user_vectors: Tensor | None = None) -> Scorer:
    """Return a scorer that ranks the catalogue by the model's predictions.

        score = movie.offset + <user.vectors, movie.vectors>

    The global mean and the user's offset are left out: they are the same for all movies of a user, and adding
    them would round small differences away. A cold user's scores are the movies' offsets.

    Args:
        user_vectors: Vectors by user row, shape (U, D), of the model or of new users; None: look up the model's.
    """
    movies = model.side_rows("movie")
    vectors = model.side_rows("user").vectors if user_vectors is None else user_vectors

    def scores(user_idx: Tensor, table: Tensor) -> None:
        users = vectors[user_idx.clamp(min=0)] * (user_idx >= 0).unsqueeze(1)
        torch.addmm(movies.offset, users, movies.vectors.T, out=table)

    return scores


def popularity_scores(counts: npt.NDArray[np.int64], *, device: torch.device | str = "cpu") -> Scorer:
    """Return a scorer that ranks the movies with most training ratings first, for every user.

    Scores are ranks, not counts: float32 holds ranks of up to 16,777,216 movies exactly.

    Args:
        counts: Training ratings of each movie, shape (M,).
    """
    order = np.argsort(-counts, kind="stable")
    ranks = np.empty(len(counts), np.float32)
    ranks[order] = np.arange(len(counts), 0, -1)
    row = torch.from_numpy(ranks).to(device)

    def scores(user_idx: Tensor, table: Tensor) -> None:  # noqa: ARG001 - the same for every user
        table.copy_(row)

    return scores


@torch.no_grad()
def top_k(
    scores: Scorer,
    user_idx: npt.NDArray[np.integer[Any]],
    *,
    k: int,
    num_movies: int,
    seen: SeenMovies | None = None,
    device: torch.device | str = "cpu",
    block_bytes: int = BLOCK_BYTES,
    on_block: Callable[[int], None] | None = None,
) -> Lists:
    """Return each user's k best movies over the whole catalogue, best first.

    Args:
        user_idx: Rows of the users, negative where cold, shape (N,).
        num_movies: Movies in the catalogue, M.
        seen: Movies to leave out; None: none.
        block_bytes: Memory for the scores of a block; a block has at least one user.
        on_block: Called after each block with the number of users done.

    Raises:
        ConfigError: k is below 1.
    """
    if k < 1:
        raise ConfigError(f"top-k lists need k of at least 1, not k = {k}")
    shape = (len(user_idx), k)
    lists = Lists(np.full(shape, -1, np.int64), np.full(shape, -np.inf, np.float32))
    block = min(len(user_idx), max(1, block_bytes // (4 * max(1, num_movies))))
    # One table for all blocks: allocating a new one would take as long as computing its scores.
    table = torch.empty(block, num_movies, device=device)
    for start in range(0, len(user_idx), max(1, block)):
        users = user_idx[start : start + block]
        rows = table[: len(users)]
        scores(torch.from_numpy(users.astype(np.int64)).to(device), rows)
        if seen is not None:
            _leave_out(rows, *seen.cells(users))
        columns, values = _best(rows, min(k, num_movies))
        here = slice(start, start + len(users)), slice(columns.shape[1])
        lists.movie_idx[here], lists.score[here] = columns.cpu().numpy(), values.cpu().numpy()
        if on_block is not None:
            on_block(start + len(users))
    return lists


def _leave_out(table: Tensor, positions: npt.NDArray[np.int64], movies: npt.NDArray[np.int32]) -> None:
    rows, columns = (
        torch.from_numpy(cells.astype(np.int64, copy=False)).to(table.device) for cells in (positions, movies)
    )
    table[rows, columns] = -torch.inf


def _best(table: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return columns and values of the k highest scores of each row, lower column first among equals.

    The column is -1 where the score is -inf.
    """
    if table.shape[1] > 4 * CHUNK * k:
        candidates, where = _candidates(table, k)
        best = _top(candidates, k)
        columns, values = where.gather(1, best), candidates.gather(1, best)
    else:
        columns = _top(table, k)
        values = table.gather(1, columns)
    return columns.masked_fill(values == -torch.inf, -1), values


def _candidates(table: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the scores that can be among the k best, and their columns, ascending, shape (B, k * CHUNK) each.

    These are the columns of the k chunks with the highest maxima, the lower chunk first among equals.
    A column of any other chunk cannot be among the k best: each of the k chunks has a column before it.
    """
    width = table.shape[1]
    whole = width // CHUNK
    maxima = table[:, : whole * CHUNK].view(len(table), whole, CHUNK).amax(dim=2)
    if whole * CHUNK < width:
        maxima = torch.cat([maxima, table[:, whole * CHUNK :].amax(dim=1, keepdim=True)], dim=1)
    chunks = _top(maxima, k).sort(dim=1).values
    columns = (chunks.unsqueeze(2) * CHUNK + torch.arange(CHUNK, device=table.device)).flatten(1)
    # The last chunk may reach beyond the table.
    candidates = table.gather(1, columns.clamp(max=width - 1)).masked_fill_(columns >= width, -torch.inf)
    return candidates, columns


def _top(table: Tensor, k: int) -> Tensor:
    """Return the columns of the k highest scores of each row, in order, the lower column first among equals."""
    # One more than k shows whether a tie crosses the end of the list: among equals, topk picks any.
    values, columns = table.topk(min(k + 1, table.shape[1]), dim=1)
    if values.shape[1] > k:
        columns = columns[:, :k]
        tied = values[:, k] == values[:, k - 1]
        if tied.any():
            columns[tied] = _lowest_columns(table[tied], values[tied, k - 1 : k], k)
    columns = columns.sort(dim=1).values
    order = table.gather(1, columns).sort(dim=1, descending=True, stable=True).indices
    return columns.gather(1, order)


def _lowest_columns(table: Tensor, last: Tensor, k: int) -> Tensor:
    """Return the columns above each row's last score and the lowest ones equal to it, k in all, ascending."""
    above, at = table > last, table == last
    missing = k - above.sum(dim=1, keepdim=True)
    chosen = above | (at & (at.cumsum(dim=1, dtype=torch.int32) <= missing))
    return chosen.nonzero()[:, 1].view(-1, k)
