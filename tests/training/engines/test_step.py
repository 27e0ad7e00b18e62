"""One update step, worked by hand and compared with torch and finite differences."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from penalties import penalty_of
from torch import Tensor

from cfmodel.column_statistics import RatingScale
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.batching.batches import DeviceRatings
from cfmodel.training.engines.step import clip_gradients, loss_of, update


def batch_of(user_idx: Sequence[int], movie_idx: Sequence[int], rating: Sequence[float]) -> DeviceRatings:
    return DeviceRatings(torch.tensor(user_idx), torch.tensor(movie_idx), torch.tensor(rating))


def model_of(*tables: Sequence[Sequence[float]]) -> CollaborativeFiltering:
    """A model with these user embeddings, user biases, movie embeddings and movie biases."""
    values = dict(zip(CollaborativeFiltering.table_names(), map(torch.tensor, tables), strict=True))
    users, movies = values["user_embeddings"], values["movie_embeddings"]
    model = CollaborativeFiltering(len(users), len(movies), users.shape[1])
    with torch.no_grad():
        for name, value in values.items():
            model.get_submodule(name).weight.copy_(value)
    return model


def gradients_of(
    model: CollaborativeFiltering, batch: DeviceRatings, penalty: dict[str, Tensor] | None = None
) -> dict[str, Tensor]:
    tables = {name: model.get_submodule(name).weight for name in CollaborativeFiltering.table_names()}
    loss = loss_of(model, batch, penalty=penalty or penalty_of(model))
    return dict(zip(tables, torch.autograd.grad(loss.total, list(tables.values())), strict=True))


def close(value: Tensor, expected: object) -> bool:
    return torch.allclose(value, torch.tensor(expected, dtype=value.dtype), atol=1e-6)


@pytest.fixture
def textbook() -> CollaborativeFiltering:
    """A user bias of 0.5 and a movie bias of 0.3, and no tastes."""
    return model_of([[0.0]], [[0.5]], [[0.0]], [[0.3]])


def test_the_biases_of_the_textbook_predict_0_8_with_an_error_of_0_2(textbook: CollaborativeFiltering) -> None:
    loss = loss_of(textbook, batch_of([0], [0], [1.0]), penalty=penalty_of(textbook))
    assert loss.mean_squared_error.item() == pytest.approx(0.2**2)


@pytest.mark.parametrize(("nudge", "error"), [(0.1, 0.1), (-0.1, 0.3)])
def test_nudging_the_user_bias_changes_the_error_as_the_textbook_says(
    textbook: CollaborativeFiltering, nudge: float, error: float
) -> None:
    with torch.no_grad():
        textbook.user_biases.weight.add_(nudge)
    loss = loss_of(textbook, batch_of([0], [0], [1.0]), penalty=penalty_of(textbook))
    assert loss.mean_squared_error.item() == pytest.approx(error**2, abs=1e-6)


def test_the_gradient_of_the_user_bias_is_minus_twice_the_error(textbook: CollaborativeFiltering) -> None:
    # d(error^2)/d(bias) = -2 * error
    assert close(gradients_of(textbook, batch_of([0], [0], [1.0]))["user_biases"], [[-0.4]])


def test_a_first_step_of_adam_moves_each_bias_by_the_learning_rate(textbook: CollaborativeFiltering) -> None:
    optimizer = torch.optim.Adam(textbook.parameters(), lr=0.01, fused=True)
    update(textbook, optimizer, batch_of([0], [0], [1.0]), penalty=penalty_of(textbook), max_grad_norm=1.0)
    assert close(textbook.user_biases.weight.detach(), [[0.51]])
    assert close(textbook.movie_biases.weight.detach(), [[0.31]])


def test_one_step_worked_by_hand() -> None:
    model = model_of([[0.5, -0.2]], [[0.5]], [[0.3, 0.1]], [[0.3]])
    batch = batch_of([0], [0], [1.0])  # standardized
    # 0.5 + 0.3 + (0.5 * 0.3 - 0.2 * 0.1) = 0.93, error 0.07; squared norms 0.29 and 0.10
    penalty = penalty_of(model, embeddings=0.1, biases=0.2)
    loss = loss_of(model, batch, penalty=penalty)
    assert loss.mean_squared_error.item() == pytest.approx(0.07**2, abs=1e-6)
    assert loss.total.item() == pytest.approx(0.07**2 + 0.1 * 0.39 + 0.2 * (0.25 + 0.09), abs=1e-6)
    gradients = gradients_of(model, batch, penalty)
    # -2 * error * other + 2 * 0.1 * own; biases -2 * error + 2 * 0.2 * own
    assert close(gradients["user_embeddings"], [[-0.14 * 0.3 + 0.2 * 0.5, -0.14 * 0.1 - 0.2 * 0.2]])
    assert close(gradients["movie_embeddings"], [[-0.14 * 0.5 + 0.2 * 0.3, 0.14 * 0.2 + 0.2 * 0.1]])
    assert close(gradients["user_biases"], [[-0.14 + 0.4 * 0.5]])
    assert close(gradients["movie_biases"], [[-0.14 + 0.4 * 0.3]])


def test_each_row_is_pulled_by_its_own_weight() -> None:
    model = model_of([[0.5], [0.1]], [[0.5], [0.2]], [[0.3]], [[0.3]])
    batch, none = batch_of([0, 1, 1], [0, 0, 0], [1.0, 2.0, 0.0]), penalty_of(model)
    weights = {"user_embeddings": [0.1, 0.4], "user_biases": [0.3, 0.6], "movie_embeddings": [0.7], "movie_biases": [1]}
    penalty = {name: torch.tensor(rows, dtype=torch.float32) for name, rows in weights.items()}
    counts = {"user": [1, 2], "movie": [3]}
    free, pulled = gradients_of(model, batch, none), gradients_of(model, batch, penalty)
    extra = 0.0
    for table in CollaborativeFiltering.TABLES:
        rows = model.weights()[table.name].detach()
        # 2 / B * ratings * weight * row
        for row, (count, weight) in enumerate(zip(counts[table.side], weights[table.name], strict=True)):
            added = pulled[table.name][row] - free[table.name][row]
            assert close(added, (2 / 3 * count * weight * rows[row]).tolist()), table.name
            extra += count * weight * float(rows[row].square().sum()) / 3
    losses = [loss_of(model, batch, penalty=given).total.item() for given in (none, penalty)]
    assert losses[1] - losses[0] == pytest.approx(extra, abs=1e-6)


def test_the_loss_of_two_ratings_is_the_mean_of_their_losses() -> None:
    model = model_of([[0.5], [0.1]], [[0.5], [0.0]], [[0.3]], [[0.3]])
    first, second = batch_of([0], [0], [1.0]), batch_of([1], [0], [2.0])
    penalty = penalty_of(model, embeddings=0.1, biases=0.3)
    both = loss_of(model, batch_of([0, 1], [0, 0], [1.0, 2.0]), penalty=penalty)
    apart = [loss_of(model, batch, penalty=penalty).total.item() for batch in (first, second)]
    assert both.total.item() == pytest.approx(sum(apart) / 2)


def test_a_row_without_a_rating_has_a_gradient_of_exactly_zero() -> None:
    model = CollaborativeFiltering(5, 4, 3, generator=torch.Generator().manual_seed(0))
    model.user_biases.weight.data.fill_(0.5)
    penalty = penalty_of(model, embeddings=0.5, biases=0.5)
    gradients = gradients_of(model, batch_of([0, 2], [1, 1], [3.0, 4.0]), penalty)
    touched = {"user": [0, 2], "movie": [1]}
    for name, gradient in gradients.items():
        rows = touched[name.partition("_")[0]]
        assert sorted(gradient.abs().sum(dim=1).nonzero().flatten().tolist()) == rows


def test_autograd_agrees_with_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    model = CollaborativeFiltering(4, 3, 5, scale=RatingScale(3.0), init_std=0.5, generator=generator).double()
    batch = DeviceRatings(torch.tensor([0, 1, 1, 3]), torch.tensor([2, 0, 0, 1]), torch.tensor([3.0, 1, 4, 5]).double())
    model.movie_biases.weight.data.normal_(generator=generator)
    penalty = penalty_of(model, embeddings=0.3, biases=0.7)
    gradients, nudge = gradients_of(model, batch, penalty), 1e-6

    def slope(weights: Tensor, position: int) -> float:
        flat, losses = weights.view(-1), []
        for sign in (1, -1):
            flat[position] += sign * nudge
            losses.append(loss_of(model, batch, penalty=penalty).total.item())
            flat[position] -= sign * nudge
        return (losses[0] - losses[1]) / (2 * nudge)

    with torch.no_grad():
        for name, gradient in gradients.items():
            weights = model.get_submodule(name).weight
            slopes = torch.tensor([slope(weights, position) for position in range(weights.numel())]).double()
            assert torch.allclose(gradient.flatten(), slopes, atol=1e-8), name


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([1e-6, 1e-3, 1.0, 1e4]),
    max_grad_norm=st.sampled_from([1e-3, 1.0, 50.0]),
)
def test_clipping_is_that_of_torch(seed: int, scale: float, max_grad_norm: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(7, 5), (7, 1), (3, 5), (3, 1)]
    ours = [scale * torch.randn(shape, generator=generator) for shape in shapes]
    parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in shapes]
    for parameter, gradient in zip(parameters, ours, strict=True):
        parameter.grad = gradient.clone()
    total = torch.nn.utils.clip_grad_norm_(parameters, max_grad_norm)
    apart = [float(gradient.square().sum().sqrt()) for gradient in ours]
    norms = clip_gradients(ours, max_grad_norm)
    for gradient, parameter in zip(ours, parameters, strict=True):
        assert torch.allclose(gradient, parameter.grad, rtol=1e-6)
    assert float(norms.total) == pytest.approx(float(total), rel=1e-6)
    assert norms.tables.tolist() == pytest.approx(apart, rel=1e-5)


def test_gradients_within_the_limit_do_not_change() -> None:
    gradient = torch.tensor([[0.3, -0.4]])
    norms = clip_gradients([gradient], 0.6)
    assert gradient.tolist() == torch.tensor([[0.3, -0.4]]).tolist()
    assert float(norms.coefficient) == 1.0
    assert float(norms.total) == pytest.approx(0.5)


def test_steps_are_those_of_plain_torch() -> None:
    ours, plain = (CollaborativeFiltering(6, 5, 4, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    optimizer = torch.optim.Adam(ours.parameters(), lr=0.01, fused=True)
    reference = torch.optim.Adam(plain.parameters(), lr=0.01, foreach=False)
    batch = batch_of([0, 1, 5, 5], [4, 3, 3, 0], [1.0, 5.0, 4.0, 2.0])
    for _ in range(5):
        update(ours, optimizer, batch, penalty=penalty_of(ours), max_grad_norm=0.5)
        reference.zero_grad()
        torch.nn.functional.mse_loss(plain(batch.user_idx, batch.movie_idx), batch.rating).backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        reference.step()
    for mine, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)


def test_nothing_in_a_step_waits_for_the_device() -> None:
    # Tensors of the meta device have no values: reading one back raises.
    model = CollaborativeFiltering(6, 5, 4).to("meta")
    optimizer = torch.optim.Adam(model.parameters(), foreach=True)
    columns = (torch.empty(8, dtype=torch.int32, device="meta") for _ in range(2))
    batch = DeviceRatings(*columns, torch.empty(8, device="meta"))
    loss, norms = update(model, optimizer, batch, penalty=penalty_of(model, embeddings=0.1), max_grad_norm=1.0)
    assert loss.total.is_meta
    assert norms.tables.shape == (len(CollaborativeFiltering.table_names()),)
