"""Padded tables: aligned rows, of which the model's tables are views."""

import numpy as np
import torch
from penalties import penalty_of

from cfmodel.model import CollaborativeFiltering
from cfmodel.training.engines.cpu.padded_tables import padded_side


def test_the_models_tables_are_views_of_aligned_rows_with_ones_beside_the_bias() -> None:
    model = CollaborativeFiltering(4, 3, 5, init_std=1.0)
    before = {name: table.detach().clone() for name, table in model.weights().items()}
    for side, ones in (("user", 6), ("movie", 5)):
        penalty = penalty_of(model, embeddings=0.25, biases=0.5)
        padded = padded_side(model, side, penalty, groups=2, lanes=2, dtype=np.float32)
        assert padded.weights.ctypes.data % 64 == 0
        assert padded.weights.shape == (model.num_rows[side], 8)
        assert padded.gradient.shape == (5, 8)
        assert (padded.weights[:, ones] == 1).all()
        assert padded.penalty.dtype == np.float32
        assert padded.penalty.tolist() == [[0.25, 0.5]] * model.num_rows[side]
        assert not padded.weights[:, 7].any()
        for name in (f"{side}_embeddings", f"{side}_biases"):
            assert torch.equal(model.weights()[name], before[name])
        padded.weights[:] = 2.0
        assert all(bool((model.weights()[name] == 2).all()) for name in (f"{side}_embeddings", f"{side}_biases"))
