"""Adam over packed rows, and torch's Adam and SparseAdam."""

import pytest
import torch

from cfmodel.training.engines.cuda.packed_adam import AdamOnAllRows, AdamOnTouchedRows

RATES = [0.1, 0.05, 0.02, 0.01]


@pytest.mark.parametrize(
    ("kind", "reference"), [(AdamOnAllRows, torch.optim.Adam), (AdamOnTouchedRows, torch.optim.SparseAdam)]
)
def test_steps_are_those_of_torch(kind: type, reference: type) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    gradient, expected = torch.zeros_like(weight), torch.nn.Parameter(weight.clone())
    ours, optimizer = kind(weight, gradient), reference([expected], lr=0.1)
    rows = torch.tensor([0, 2, 5])
    touched = torch.zeros(6, 1, dtype=torch.float64).index_fill_(0, rows, 1.0)
    for rate, step_size in zip(RATES, ours.rates(RATES, steps_before=0), strict=True):
        gradient.zero_()[rows] = torch.randn(3, 4, generator=generator, dtype=torch.float64)
        expected.grad = gradient.clone()
        if reference is torch.optim.SparseAdam:
            expected.grad = torch.sparse_coo_tensor(
                rows.unsqueeze(0), gradient[rows], weight.shape, is_coalesced=True, check_invariants=True
            )
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        ours.rate.fill_(step_size)
        ours.move(touched)
        torch.testing.assert_close(weight, expected.detach(), rtol=1e-9, atol=1e-9)
    state = optimizer.state[expected]
    torch.testing.assert_close(ours.first, state["exp_avg"])
    torch.testing.assert_close(ours.second, state["exp_avg_sq"])
