"""One step in closed form: nothing is read back, and the operations are the same each time."""

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from training_engines import ADAMS, USERS, chosen, drawn, plan_of

from cfmodel.training.batching.batches import DeviceRatings
from cfmodel.training.engines.cuda.closed_form import ClosedFormStep
from cfmodel.training.engines.cuda.device_epoch import DeviceEpoch
from cfmodel.training.engines.cuda.engine import build_packed_adam
from cfmodel.training.engines.cuda.packed_tables import PackedTables


def step_on(device: str, adam: str) -> ClosedFormStep:
    """Return a step with a capacity of 32 ratings, before the first step of an epoch."""
    settings = chosen(epochs=4, adam=adam)
    plan = plan_of(drawn(320), settings, device=torch.device(device))
    model = plan.initial_model()
    tables = PackedTables(model)
    gradient = torch.zeros_like(tables.weight)
    ratings = DeviceRatings.of(drawn(320), torch.device(device))
    epoch = DeviceEpoch(ratings, num_users=USERS, steps=10, dtype=torch.float32)
    epoch.begin(torch.arange(320, dtype=torch.int32), [32] * 10, [0.01] * 10)
    step = ClosedFormStep(
        tables, epoch, build_packed_adam(tables.weight, gradient, settings),
        gradient=gradient, penalty=plan.penalty_weights(), max_grad_norm=1.0,
    )  # fmt: skip
    step.capacity = 32
    return step


def test_a_step_needs_no_value_on_the_host() -> None:
    # Tensors of the meta device have shapes and no values: an operation that needs a value fails.
    step_on("meta", "touched_rows").run()  # torch's own Adam, over all rows, has no kernel for that device


class Operations(TorchDispatchMode):
    """Lists the operations of a block."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("adam", ADAMS)
def test_a_step_reads_nothing_back_and_is_the_same_operations_each_time(adam: str) -> None:
    waiting = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "is_nonzero", "bincount", "_to_copy.cpu")
    step, runs = step_on("cpu", adam), []
    for _ in range(3):
        with Operations() as operations:
            step.run()
        runs.append(operations.seen)
        assert not [seen for seen in operations.seen if any(name in seen for name in waiting)]
    assert runs[0] == runs[1] == runs[2]
