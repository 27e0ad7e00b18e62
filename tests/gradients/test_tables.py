"""What is said of a table at the end of an epoch, by construction."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cfmodel.gradients.measuring.epoch_look import TableWatch
from cfmodel.gradients.measuring.epoch_pass import CompiledPass, TensorPass
from cfmodel.gradients.measuring.step_scalars import StepReducer
from cfmodel.gradients.measuring.touched_rows import TouchedRows, _marked, popularity_deciles, rows_touched
from cfmodel.gradients.recording.gradient_records import QUANTILES, TableHealth
from cfmodel.gradients.statistics.quantiles import quantiles
from cfmodel.gradients.statistics.rank import effective_rank
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import DeviceRatings
from cfmodel.training.prediction_spread import PredictionSpread

rows = st.lists(st.integers(0, 19), min_size=1, max_size=40)


def watch(table: Tensor, counts: list[int], *, has_vectors: bool = True) -> TableWatch:
    return TableWatch(table, torch.tensor(counts), has_vectors=has_vectors)


def look(watched: TableWatch, *, epochs: int = 1, moment: Tensor | None = None, gradient: bool = True) -> TableHealth:
    return watched.look(epochs, second_moment=moment, had_gradient=gradient)


def test_a_row_touched_five_times_without_ever_a_gradient_is_dead() -> None:
    watched = watch(torch.randn(4, 3), [5, 4, 5, 0])
    moment = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1e-12, 0.0], [0.0, 0.0, 0.0]])
    assert look(watched, moment=moment).dead_row_examples == (0,)
    assert look(watched, epochs=2, moment=moment).dead_row_examples == (0, 1)
    assert look(watched, epochs=2, moment=moment).dead_rows == 2


def test_a_table_that_had_a_gradient_and_did_not_move_is_frozen() -> None:
    table = torch.randn(4, 3)
    watched = watch(table, [1, 1, 1, 1])
    assert look(watched).frozen
    assert not look(watched, gradient=False).frozen
    table[2] += 0.1
    assert not look(watched).frozen
    assert look(watched).frozen


def test_cold_rows_and_their_drift_are_those_without_a_rating() -> None:
    table = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    watched = watch(table, [7, 0, 2])
    before = look(watched)
    assert (before.cold_rows, before.cold_row_examples, before.cold_drift, before.cold_norm_ratio) == (1, (1,), 0, 1)
    table[0] += 5
    table[1] *= 0.9
    after = look(watched)
    assert after.cold_drift == pytest.approx(0.1)
    assert after.cold_norm_ratio == pytest.approx(0.9)
    assert after.id_coverage == pytest.approx(2 / 3)


def test_a_table_without_cold_rows_has_no_drift() -> None:
    found = look(watch(torch.randn(3, 2), [1, 1, 1]))
    assert (found.cold_rows, found.cold_drift, found.cold_norm_ratio, found.id_coverage) == (0, 0.0, 1.0, 1.0)


def test_the_effective_rank_is_that_of_the_singular_values() -> None:
    rng = np.random.default_rng(0)
    for table in (rng.standard_normal((200, 8)), rng.standard_normal((50, 2)) @ rng.standard_normal((2, 8))):
        values = np.linalg.svd(table, compute_uv=False)
        shares = values[values > 1e-9] / values.sum()
        expected = math.exp(-(shares * np.log(shares)).sum())
        assert effective_rank(torch.tensor(table, dtype=torch.float32)) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("dim", [200, 256, 1024])
def test_of_many_columns_few_directions_are_still_told(dim: int) -> None:
    rng = torch.Generator().manual_seed(0)
    few = torch.randn(3000, 5, generator=rng) @ torch.randn(5, dim, generator=rng)
    values = np.linalg.svd(few.numpy(), compute_uv=False)[:5]
    shares = values / values.sum()
    assert effective_rank(few) == pytest.approx(math.exp(-(shares * np.log(shares)).sum()), rel=0.05)
    assert effective_rank(torch.ones(300, dim)) == pytest.approx(1.0, abs=0.01)
    assert 120 < effective_rank(torch.randn(5000, dim, generator=rng)) <= 128


def test_a_table_of_one_direction_has_rank_one_and_one_of_equal_directions_full_rank() -> None:
    assert effective_rank(torch.ones(10, 4)) == pytest.approx(1.0, abs=0.01)
    assert effective_rank(torch.eye(4)) == pytest.approx(4.0)


@pytest.mark.parametrize("table", [torch.zeros(3, 2), torch.full((3, 2), math.nan), torch.full((3, 2), math.inf)])
def test_a_table_that_is_zero_or_not_finite_has_no_rank(table: Tensor) -> None:
    assert math.isnan(effective_rank(table))


def test_the_mean_leak_is_the_share_of_the_squared_norm_in_the_mean_row() -> None:
    table = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    # mean row (1, 1/2), squared 5/4; mean squared norm 5/2.
    assert look(watch(table, [1, 1])).mean_leak == pytest.approx(0.5)
    assert look(watch(torch.ones(5, 3), [1] * 5)).mean_leak == pytest.approx(1.0)


@pytest.mark.parametrize("dim", [1, 3, 50, 200])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e25])
def test_a_compiled_pass_finds_what_tensor_operations_find(dim: int, size: float) -> None:
    rng = torch.Generator().manual_seed(0)
    # Rows with room behind them, as the compiled engine has them.
    table, moment, start = (torch.randn(1001, 216, generator=rng)[:, :dim] * size for _ in range(3))
    table *= torch.rand(dim, generator=rng)
    counts, cold = torch.arange(1001) % 9, torch.arange(0, 1001, 9)
    moment[7::9], moment[8, 0], moment[4::9] = 0.0, 0.0, 0.0
    seen = CompiledPass(table, counts, cold, start[cold], with_rank=True)
    plain = TensorPass(table.double(), counts, cold, start[cold].double(), with_rank=True)
    found, expected = seen.find(moment, epochs=1), plain.find(moment.double(), epochs=1)
    np.testing.assert_allclose(found.norms, expected.norms, rtol=1e-6)
    np.testing.assert_allclose(found.quantiles, np.quantile(expected.norms, QUANTILES), rtol=1e-6)
    assert found.mean_leak == pytest.approx(expected.mean_leak, rel=1e-5)
    assert found.dead_rows == expected.dead_rows == 111 + (dim == 1)
    assert (
        found.dead_row_examples
        == expected.dead_row_examples
        == ((7, 8, 16, 25, 34) if dim == 1 else (7, 16, 25, 34, 43))
    )
    assert (found.cold_moved, found.cold_norm) == pytest.approx((expected.cold_moved, expected.cold_norm), rel=1e-6)
    if size == 1:  # the products of others are not within the range of float32
        assert found.effective_rank == pytest.approx(expected.effective_rank, rel=1e-4)
        assert found.effective_rank == pytest.approx(effective_rank(table), rel=1e-4)
    assert (found.norms == seen.norms()).all()
    assert seen.find(None, epochs=99).dead_rows == plain.find(None, epochs=99).dead_rows == 0


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 31, 33, 130, 1700])
def test_the_products_of_columns_are_added_up_over_evenly_spaced_rows(rows: int) -> None:
    table = torch.randn(rows, 24, generator=torch.Generator().manual_seed(0))[:, :13]
    seen = CompiledPass(table, torch.ones(rows, dtype=torch.int64), torch.arange(0), table[:0], with_rank=True)
    assert seen.find(None, epochs=1).effective_rank == pytest.approx(effective_rank(table), rel=1e-3)


def test_a_pass_over_rows_that_are_not_finite_says_so() -> None:
    table = torch.tensor([[1.0, math.nan], [math.inf, 0.0], [3.0, 4.0]])
    seen = CompiledPass(table, torch.ones(3, dtype=torch.int64), torch.arange(0), table[:0], with_rank=True)
    found = seen.find(None, epochs=1)
    assert found.norms.tolist()[1:] == [math.inf, 5.0]
    assert math.isnan(found.norms[0])
    assert math.isnan(found.mean_leak)
    assert found.effective_rank is not None
    assert math.isnan(found.effective_rank)
    assert found.quantiles[0] == math.inf


def test_biases_have_neither_rank_nor_leak() -> None:
    found = look(watch(torch.ones(3, 1), [1, 1, 1], has_vectors=False))
    assert (found.effective_rank, found.mean_leak) == (None, None)


sizes = st.floats(0, width=32, allow_infinity=True) | st.sampled_from([0.0, 1.0, 1.5])


@settings(deadline=None)
@given(st.lists(sizes, min_size=1, max_size=300))
def test_quantiles_are_those_of_numpy(values: list[float]) -> None:
    given = np.array(values, np.float32)
    ordered = np.sort(given).astype(np.float64)
    position = np.array(QUANTILES) * (len(given) - 1)
    low, high = (ordered[edge(position).astype(int)] for edge in (np.floor, np.ceil))
    with np.errstate(invalid="ignore"):  # numpy's own say NaN between two infinities
        expected = np.where(low == high, low, low + (high - low) * (position % 1))
    np.testing.assert_allclose(quantiles(given), expected, rtol=1e-12)
    if np.isfinite(given).all():
        np.testing.assert_allclose(quantiles(given), np.quantile(ordered, QUANTILES), rtol=1e-6)


@pytest.mark.parametrize("nan", [np.nan, -np.nan])
@pytest.mark.parametrize("number", [5, 5001])
def test_what_is_not_a_number_is_the_largest(number: int, nan: float) -> None:
    given = np.random.default_rng(0).random(number).astype(np.float32)
    given[3] = nan
    found = quantiles(given)
    assert found[3] == np.sort(given)[3 * number // 4]
    assert np.isnan(found[4]) == (number == 5)
    given[1:] = nan
    assert np.isnan(quantiles(given)[1:]).all()


@settings(deadline=None)
@given(rows)
def test_the_rows_a_batch_touches_are_the_same_with_and_without_waiting(index: list[int]) -> None:
    batch, table = torch.tensor(index, dtype=torch.int32), torch.randn(20, 3)
    expected, counts = np.unique(index, return_counts=True)
    compact, padded = (make(batch, 20) for make in (TouchedRows.compact, TouchedRows.padded))
    assert compact.rows.tolist() == expected.tolist()
    assert compact.counts.tolist() == counts.tolist()
    assert int(compact.number) == int(padded.number) == len(expected)
    assert padded.kept is not None
    assert padded.rows[padded.kept].tolist() == expected.tolist()
    torch.testing.assert_close(padded.take(table)[padded.kept], compact.take(table))
    assert not padded.take(table)[~padded.kept].any()


@settings(deadline=None)
@given(rows, st.integers(1, 4), st.booleans())
def test_distinct_rows_are_counted_alike_in_every_way(index: list[int], batches: int, large: bool) -> None:
    batch = torch.tensor(index * 30 if large else index, dtype=torch.int32).repeat(batches, 1)
    batch += torch.arange(batches, dtype=torch.int32).unsqueeze(1)
    expected = [len(set(each.tolist())) for each in batch]
    assert rows_touched(batch, 30).tolist() == expected
    assert _marked(batch, 30).tolist() == expected


def test_deciles_hold_as_many_rated_rows_each_rarest_first() -> None:
    counts = torch.tensor([0, *range(20, 0, -1)])
    deciles = popularity_deciles(counts)
    assert deciles[1:].tolist() == [9 - rank // 2 for rank in range(20)]


def test_the_spread_of_the_predictions_is_that_of_the_training_ratings() -> None:
    rng = torch.Generator().manual_seed(0)
    users, movies = torch.arange(20) % 5, torch.arange(20) // 5
    model = CollaborativeFiltering(5, 4, 3, global_mean=3.0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(generator=rng)
    spread = PredictionSpread(model, DeviceRatings(users, movies, torch.ones(20)))
    user, movie = model.side_rows("user"), model.side_rows("movie")
    dot = user.vectors @ movie.vectors.T
    whole = dot + user.offset[:, None] + movie.offset
    expected = pytest.approx((float(whole.std(correction=0)), float(dot.std(correction=0))))
    assert spread.find() == expected
    assert spread.find_by_tensors() == expected


@pytest.mark.parametrize("users", [20, 100_000])
def test_the_largest_error_of_each_step_is_found_whether_errors_are_copied_or_not(users: int) -> None:
    rng = torch.Generator().manual_seed(0)
    index = {side: torch.randint(0, 20, (70,), generator=rng) for side in ("user", "movie")}
    reducer, errors = StepReducer({"user": users, "movie": 20}, 16), torch.randn(70, generator=rng)
    for _ in range(2):
        reducer.begin(index, [16, 16, 16, 16, 6], count_rows=True)
        for number, step in enumerate(errors.split(16)):
            reducer.add(step.clone())
            if number == 1:
                reducer.reduce_errors()
                reducer.count_rows()
        reducer.reduce_errors()
        reducer.count_rows()
        seen = reducer.read()
        largest = [int(step.abs().argmax()) + 16 * number for number, step in enumerate(errors.split(16))]
        assert seen.largest_error.tolist() == errors[largest].abs().double().tolist()
        assert seen.user.tolist() == index["user"][largest].tolist()
        assert seen.rows_touched["movie"].tolist() == [len(set(step.tolist())) for step in index["movie"].split(16)]
