"""What a table looks like at the end of an epoch: dead, frozen and cold rows, spread and rank."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cfmodel.gradients.quantiles import quantiles
from cfmodel.gradients.records import EMBEDDINGS, TableHealth
from cfmodel.gradients.row_pass import row_pass

#: Touches after which a row that never had a gradient is called dead.
TOUCHES = 5
#: Rows a column from which the rank of a table is told: of 64 columns all used alike so many say 63.5.
RANK_ROWS = 16
#: Columns from which it is told: the work grows with their third power, at 1,024 to a third of a second.
RANK_COLUMNS = 128
#: Row numbers given as examples.
EXAMPLES = 5


class TableWatch:
    """One table over a training: what it was at the start and at the last look.

    Args:
        name: Name of the table.
        table: Its weights, shape (rows, K); read, never written.
        counts: Training ratings of each row, so touches an epoch, shape (rows,).
    """

    def __init__(self, name: str, table: Tensor, counts: Tensor) -> None:
        self._name, self._table, self._counts = name, table.detach(), counts
        self._cold = (counts == 0).nonzero().squeeze(1)
        self._cold_start = self._table[self._cold].clone()
        self._norms = row_pass(self._table).norms

    @property
    def cold_rows(self) -> int:
        """Rows without a training rating."""
        return len(self._cold)

    def look(self, epochs: int, *, second_moment: Tensor | None, had_gradient: bool) -> TableHealth:
        """Describe the table after so many epochs, and remember its row norms for the next look.

        Args:
            epochs: Passes over the ratings so far.
            second_moment: Adam's running mean of squared gradients, shape (rows, K): exactly zero
                where no gradient ever was anything else. None: dead rows are not looked for.
            had_gradient: Whether the table had a gradient since the last look.
        """
        now, embeddings = row_pass(self._table, second_moment), self._name in EMBEDDINGS
        frozen = had_gradient and torch.equal(now.norms, self._norms)
        self._norms = now.norms
        dead = now.silent[self._counts[now.silent] * epochs >= TOUCHES]
        return TableHealth(
            rows=len(self._table),
            dead_rows=len(dead),
            dead_row_examples=_examples(dead),
            frozen=frozen,
            cold_rows=self.cold_rows,
            **self._cold_drift(),
            cold_row_examples=_examples(self._cold),
            row_norm_quantiles=quantiles(now.norms),
            effective_rank=effective_rank(self._table) if embeddings else None,
            mean_leak=now.mean_leak if embeddings else None,
            id_coverage=1 - self.cold_rows / len(self._table),
        )

    def state(self) -> dict[str, Tensor]:
        """Return what cannot be found out again from the weights of today."""
        return {"cold_start": self._cold_start, "norms": self._norms}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state where it was left."""
        device = self._table.device
        self._cold_start, self._norms = state["cold_start"].to(device), state["norms"].to(device)

    def _cold_drift(self) -> dict[str, float]:
        if not self.cold_rows:
            return {"cold_drift": 0.0, "cold_norm_ratio": 1.0}
        now, start = self._table[self._cold], self._cold_start
        moved, size, before = (float(torch.linalg.vector_norm(part)) for part in (now - start, now, start))
        if before:
            return {"cold_drift": moved / before, "cold_norm_ratio": size / before}
        return {"cold_drift": math.inf if moved else 0.0, "cold_norm_ratio": math.inf if moved else 1.0}


def effective_rank(table: Tensor) -> float:
    """Return how many directions a table uses.

        exp(-sum p log p),  p = s / sum s

    with the singular values s, here as roots of the eigenvalues of the K x K Gram matrix, which is
    much less work for many rows; singular values below 0.0003 of the largest are lost in rounding. Of
    more than `RANK_ROWS` rows a column so many, evenly spaced, stand for all. More than `RANK_COLUMNS`
    columns are added up into so many, each with a random sign: few directions stay as many as they are,
    and of many some `RANK_COLUMNS` are told.

    Args:
        table: Rows, shape (rows, K).

    Returns:
        From 1 to K, or to `RANK_COLUMNS`; NaN where the table is zero or not finite.

    Sources: Roy & Vetterli, "The effective rank: a measure of effective dimensionality" (2007); for the
    columns Clarkson & Woodruff, "Low rank approximation and regression in input sparsity time" (2013).
    """
    columns = min(table.shape[1], RANK_COLUMNS)
    spaced = table[:: max(1, len(table) // (RANK_ROWS * columns))]
    if table.shape[1] > columns:
        spaced = _folded(spaced, columns)
    gram = (spaced.T @ spaced).cpu().double().numpy()
    if not 0 < np.trace(gram) < math.inf:
        return math.nan
    values = np.sqrt(np.linalg.eigvalsh(gram).clip(min=0))
    shares = values[values > 0] / values.sum()
    return math.exp(-float((shares * np.log(shares)).sum()))


def _folded(rows: Tensor, columns: int) -> Tensor:
    """Add up columns, each with a sign drawn at random, into so many; shape (R, columns)."""
    dim = rows.shape[1]
    signs = torch.randint(0, 2, (dim,), generator=torch.Generator().manual_seed(0)).to(rows) * 2 - 1
    filled = torch.nn.functional.pad(rows * signs, (0, -dim % columns))
    found: Tensor = filled.view(len(rows), -1, columns).sum(dim=1)
    return found


def _examples(rows: Tensor) -> tuple[int, ...]:
    return tuple(rows[:EXAMPLES].tolist())
