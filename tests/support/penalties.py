"""Penalties for single steps."""

import torch
from torch import Tensor

from cfmodel.model import CollaborativeFiltering


def penalty_of(model: CollaborativeFiltering, *, embeddings: float = 0.0, biases: float = 0.0) -> dict[str, Tensor]:
    """Return the same weight for each rating of every row of a kind, by table."""
    return {
        table.name: torch.full(
            (model.num_rows[table.side],),
            embeddings if table.width is None else biases,
            device=model.global_mean.device,
        )
        for table in model.TABLES
    }
