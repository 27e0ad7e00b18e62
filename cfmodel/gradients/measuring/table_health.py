"""The health of a table at the end of an epoch: dead rows, frozen table, cold rows, row norms and rank."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cfmodel.gradients.measuring.epoch_pass import EXAMPLES, table_pass_for
from cfmodel.gradients.recording.gradient_records import TableHealth


class TableHealthTracker:
    """Measures one table during a training, compared with its start and its last measurement.

    Args:
        table: Its weights, shape (rows, K); never written.
        counts: Training ratings of each row, that is touches per epoch, shape (rows,).
        has_vectors: Whether its rows are vectors, which have an effective rank and a mean leak.
    """

    def __init__(self, table: Tensor, counts: Tensor, *, has_vectors: bool) -> None:
        self._table, self._counts, self._has_vectors = table.detach(), counts, has_vectors
        self._cold = (counts == 0).nonzero().squeeze(1)
        self._cold_row_examples = tuple(self._cold[:EXAMPLES].tolist())
        self._begin(self._table[self._cold].clone())
        self._norms = self._pass.norms()

    @property
    def cold_rows(self) -> int:
        """Rows without a training rating."""
        return len(self._cold)

    def measure(self, epochs: int, *, second_moment: Tensor | None, had_gradient: bool) -> TableHealth:
        """Measure the table, and store its row norms for the next measurement.

        Args:
            epochs: Epochs done so far.
            second_moment: Adam's running mean of squared gradients, shape (rows, K), exactly zero where every
                gradient was zero. None: do not look for dead rows.
            had_gradient: Whether the table had a gradient since the last measurement.
        """
        now = self._pass.measure(second_moment, epochs=epochs)
        frozen = had_gradient and np.array_equal(now.norms, self._norms)
        self._norms = now.norms
        return TableHealth(
            rows=len(self._table),
            dead_rows=now.dead_rows,
            dead_row_examples=now.dead_row_examples,
            frozen=frozen,
            cold_rows=self.cold_rows,
            cold_drift=self._from_start(now.cold_moved, unmoved=0.0),
            cold_norm_ratio=self._from_start(now.cold_norm, unmoved=1.0),
            cold_row_examples=self._cold_row_examples,
            row_norm_quantiles=now.quantiles,
            effective_rank=now.effective_rank,
            mean_leak=now.mean_leak if self._has_vectors else None,
            id_coverage=1 - self.cold_rows / len(self._table),
        )

    def state(self) -> dict[str, Tensor]:
        """Return the state that cannot be computed from the current weights."""
        return {"cold_start": self._cold_start, "norms": torch.from_numpy(self._norms)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state` returned."""
        self._begin(state["cold_start"].to(self._table.device))
        self._norms = state["norms"].cpu().numpy()

    def _begin(self, cold_start: Tensor) -> None:
        """Set the initial weights of the cold rows."""
        self._cold_start, self._cold_norm = cold_start, float(torch.linalg.vector_norm(cold_start))
        self._pass = table_pass_for(self._table, self._counts, self._cold, cold_start, with_rank=self._has_vectors)

    def _from_start(self, norm: float, *, unmoved: float) -> float:
        """Return a norm of the cold rows over their initial norm, which may be zero."""
        if self._cold_norm:
            return norm / self._cold_norm
        return math.inf if norm else unmoved
