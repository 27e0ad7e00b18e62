"""The health of a table at the end of an epoch, compiled for float32 and by tensor operations for float64."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from cfmodel.gradients.measuring.table_health import TableHealthTracker
from cfmodel.gradients.recording.gradient_records import TableHealth


@pytest.fixture(params=[torch.float32, torch.float64], ids=["compiled", "tensors"], autouse=True)
def _dtype(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    yield
    torch.set_default_dtype(before)


def tracker(table: Tensor, counts: list[int], *, has_vectors: bool = True) -> TableHealthTracker:
    return TableHealthTracker(table, torch.tensor(counts), has_vectors=has_vectors)


def measure(
    tracked: TableHealthTracker, *, epochs: int = 1, moment: Tensor | None = None, gradient: bool = True
) -> TableHealth:
    return tracked.measure(epochs, second_moment=moment, had_gradient=gradient)


def test_a_row_touched_five_times_that_never_had_a_gradient_is_dead() -> None:
    tracked = tracker(torch.randn(4, 3), [5, 4, 5, 0])
    moment = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1e-12, 0.0], [0.0, 0.0, 0.0]])
    assert measure(tracked, moment=moment).dead_row_examples == (0,)
    assert measure(tracked, epochs=2, moment=moment).dead_row_examples == (0, 1)
    assert measure(tracked, epochs=2, moment=moment).dead_rows == 2


def test_a_table_with_a_gradient_that_did_not_move_is_frozen() -> None:
    table = torch.randn(4, 3)
    tracked = tracker(table, [1, 1, 1, 1])
    assert measure(tracked).frozen
    assert not measure(tracked, gradient=False).frozen
    table[2] += 0.1
    assert not measure(tracked).frozen
    assert measure(tracked).frozen


def test_cold_rows_are_those_without_a_rating_and_their_drift_is_measured() -> None:
    table = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    tracked = tracker(table, [7, 0, 2])
    before = measure(tracked)
    assert (before.cold_rows, before.cold_row_examples, before.cold_drift, before.cold_norm_ratio) == (1, (1,), 0, 1)
    table[0] += 5
    table[1] *= 0.9
    after = measure(tracked)
    assert after.cold_drift == pytest.approx(0.1)
    assert after.cold_norm_ratio == pytest.approx(0.9)
    assert after.id_coverage == pytest.approx(2 / 3)


def test_a_table_without_cold_rows_has_no_drift() -> None:
    found = measure(tracker(torch.randn(3, 2), [1, 1, 1]))
    assert (found.cold_rows, found.cold_drift, found.cold_norm_ratio, found.id_coverage) == (0, 0.0, 1.0, 1.0)


def test_the_mean_leak_is_the_share_of_the_squared_norm_in_the_mean_row() -> None:
    table = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    # mean row (1, 1/2), squared 5/4; mean squared norm 5/2.
    assert measure(tracker(table, [1, 1])).mean_leak == pytest.approx(0.5)
    assert measure(tracker(torch.ones(5, 3), [1] * 5)).mean_leak == pytest.approx(1.0)


def test_biases_have_neither_a_rank_nor_a_leak() -> None:
    found = measure(tracker(torch.ones(3, 1), [1, 1, 1], has_vectors=False))
    assert (found.effective_rank, found.mean_leak) == (None, None)
