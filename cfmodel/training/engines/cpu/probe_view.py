"""Errors and gradients of one compiled step, gathered from its lanes for a probe."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from cfmodel.gradients.measuring.touched_rows import TouchedRows
from cfmodel.system.compiled import compiled
from cfmodel.tables import SIDES, Side
from cfmodel.training.engines.cpu.grouping import FIRST, MOVIE_FIRST, USER_FIRST, Grouped, Parts
from cfmodel.training.engines.cpu.kernels import PaddedSide
from cfmodel.training.engines.cpu.padded_tables import views_of


class ProbeView(NamedTuple):
    """A step before its gradients are clipped.

    Attributes:
        rows: Rows of the batch by side, shape (B,).
        error: Standardized rating less score, in the same order, shape (B,).
        touched: The distinct rows of the batch, by side.
        gradients: The gradients of these rows, by table, shape (R, K).
    """

    rows: dict[str, Tensor]
    error: Tensor
    touched: dict[str, TouchedRows]
    gradients: dict[str, Tensor]


def probe_view(
    parts: Parts, grouped: tuple[Grouped, Grouped], sides: dict[Side, PaddedSide], error: Any, *, dim: int
) -> ProbeView:
    """Gather a step.

    Args:
        parts: The step's parts by lane, which share no row, shape (L, 6).
        grouped: The ratings, grouped by user and by movie.
        sides: Tables of either side, with the gradients of the step.
        error: Errors of each lane's part, in its order, shape (L, most ratings).
        dim: K.
    """
    # End less beginning, for users, movies and ratings.
    *groups_of, size = (parts[:, 1::2] - parts[:, ::2]).sum(axis=0).tolist()
    touched: dict[str, TouchedRows] = {}
    gradients: dict[str, Tensor] = {}
    for name, groups, field, number in zip(SIDES, grouped, (USER_FIRST, MOVIE_FIRST), groups_of, strict=True):
        side = sides[name]
        rows, lookups = np.empty(number, np.int64), np.empty(number, np.float32)
        found = np.empty((number, side.gradient.shape[1]), side.gradient.dtype)
        scale = side.gradient.dtype.type(2 / size)
        _gather(parts, field, groups.rows, groups.starts, side.gradient, side.first_gradient, scale,
                rows, lookups, found)  # fmt: skip
        touched[name] = TouchedRows(torch.from_numpy(rows), torch.from_numpy(lookups), None, number)
        gradients |= views_of(found, name, dim)
    users, movies, errors = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, error.dtype)
    _line_up(parts, grouped[0], error, users, movies, errors)
    index = {"user": torch.from_numpy(users), "movie": torch.from_numpy(movies)}
    return ProbeView(index, torch.from_numpy(errors), touched, gradients)


@compiled()
def _gather(
    parts: Any, field: int, of_group: Any, starts: Any, gradient: Any, first_gradient: Any, scale: Any,
    rows: Any, lookups: Any, found: Any,
) -> None:  # fmt: skip
    """Write each group's row, its number of ratings, and its gradient times `scale`."""
    at = 0
    for lane in range(len(parts)):
        first = parts[lane, field]
        for group in range(first, parts[lane, field + 1]):
            rows[at], lookups[at] = of_group[group], starts[group + 1] - starts[group]
            slope, into = gradient[first_gradient[lane] + group - first], found[at]
            for k in range(len(into)):
                into[k] = slope[k] * scale
            at += 1


@compiled()
def _line_up(parts: Any, by_user: Any, error: Any, users: Any, movies: Any, errors: Any) -> None:
    """Write each rating's rows and error, in each lane's order of users."""
    at = 0
    for lane in range(len(parts)):
        first = parts[lane, FIRST]
        for group in range(parts[lane, USER_FIRST], parts[lane, USER_FIRST + 1]):
            for rating in range(by_user.starts[group], by_user.starts[group + 1]):
                users[at], movies[at] = by_user.rows[group], by_user.others[rating]
                errors[at] = error[lane, rating - first]
                at += 1
