"""The view of a compiled step for a probe."""

import numpy as np
import torch
from training_engines import chosen, drawn, engine_on, plan_of

from cfmodel.training.batching.batches import DeviceRatings
from cfmodel.training.engines.cpu.engine import CpuEngine
from cfmodel.training.engines.step import loss_of


def test_rows_errors_and_gradients_are_those_of_autograd_before_clipping() -> None:
    ratings, plan = drawn(60), plan_of(drawn(60), chosen(max_grad_norm=0.01), batch_size=60)
    engine, model = engine_on(plan, CpuEngine), plan.initial_model().double()
    engine.run_epoch(1, on_progress=lambda fraction: None)
    view = engine._probe_view(0)
    loss = loss_of(model, DeviceRatings.of(plan.train, torch.device("cpu")), penalty=plan.penalty_weights())
    gradients = dict(zip(model.weights(), torch.autograd.grad(loss.total, list(model.weights().values())), strict=True))
    assert sorted(zip(*(view.rows[side].tolist() for side in ("user", "movie")), strict=True)) == sorted(
        zip(ratings.user_idx.tolist(), ratings.movie_idx.tolist(), strict=True)
    )
    np.testing.assert_allclose(np.sort(view.error), np.sort(loss.error.detach()), rtol=1e-9)
    for table in model.TABLES:
        rows = view.touched[table.side].rows
        torch.testing.assert_close(view.gradients[table.name], gradients[table.name][rows])
        assert not np.delete(gradients[table.name].numpy(), rows.numpy(), axis=0).any()
