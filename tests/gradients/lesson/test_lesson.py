"""A lesson's numbers, compared with autograd and with torch's Adam and clipping, and worked by hand."""

from dataclasses import replace

import pytest
import torch
from made_lessons import BY_HAND, by_hand, lesson_of, next_step, text_of
from penalties import penalty_of

from cfmodel.column_statistics import RatingScale
from cfmodel.gradients.lesson.html import lesson_html
from cfmodel.gradients.lesson.lesson import adam_step
from cfmodel.gradients.lesson.lesson_records import Example
from cfmodel.model import CollaborativeFiltering
from cfmodel.optimizer import clip_coefficient
from cfmodel.training.explain import example_of


@pytest.fixture
def trained() -> tuple[CollaborativeFiltering, Example]:
    """A model with random tables, and the rating of user 1 and movie 2."""
    model = CollaborativeFiltering(
        3, 4, 5, scale=RatingScale(3.5, 2.0), init_std=0.7, generator=torch.Generator().manual_seed(1)
    )
    with torch.no_grad():
        model.user_biases.weight.normal_(generator=torch.Generator().manual_seed(2))
        model.movie_biases.weight.normal_(generator=torch.Generator().manual_seed(3))
    rows = {"user": 1, "movie": 2}
    penalty = penalty_of(model, embeddings=0.1, biases=0.3)
    return model, example_of(model, rows, user_id="u", movie_id="m", rating=4.5, part="train", penalty=penalty)


def test_the_textbooks_example_has_the_numbers_of_the_textbook() -> None:
    lesson = lesson_of()
    assert lesson.prediction.prediction == pytest.approx(0.8)
    assert lesson.prediction.error == pytest.approx(0.2)
    up, down = lesson.nudges
    assert (up.new_prediction, up.new_error, up.decreased) == (pytest.approx(0.9), pytest.approx(0.1), True)
    assert (down.new_prediction, down.new_error, down.decreased) == (pytest.approx(0.7), pytest.approx(0.3), False)
    assert lesson.update.gradient == pytest.approx(-0.4)
    assert lesson.update.new_value == pytest.approx(0.5 - 0.01 * -0.4)


def test_the_terms_add_up_to_the_prediction_of_the_model(trained: tuple[CollaborativeFiltering, Example]) -> None:
    model, example = trained
    parts = lesson_of(example).prediction
    assert 3.5 + 2.0 * sum(parts.terms.values()) == pytest.approx(parts.prediction)
    assert parts.prediction == pytest.approx(float(model(torch.tensor([1]), torch.tensor([2])).detach()), abs=1e-5)


def test_slopes_are_those_of_autograd_in_the_model(trained: tuple[CollaborativeFiltering, Example]) -> None:
    model, example = trained
    rows = model.look_up(torch.tensor([1]), torch.tensor([2]))
    squares = rows["user_embeddings"].square().sum() + rows["movie_embeddings"].square().sum()
    biases = rows["user_biases"].square().sum() + rows["movie_biases"].square().sum()
    (((4.5 - 3.5) / 2.0 - model.combine(rows)).square().sum() + 0.1 * squares + 0.3 * biases).backward()
    user_bias, movie_bias, steepest = lesson_of(example).slopes
    grads = {name: table.grad for name, table in model.named_parameters()}
    assert user_bias.gradient == pytest.approx(float(grads["user_biases.weight"][1, 0]), rel=1e-4)
    assert movie_bias.gradient == pytest.approx(float(grads["movie_biases.weight"][2, 0]), rel=1e-4)
    expected = grads["user_embeddings.weight"][1]
    assert steepest.name == f"user_embedding[{int(expected.abs().argmax())}]"
    assert abs(steepest.gradient) == pytest.approx(float(expected.abs().max()), rel=1e-4)


def test_finite_differences_agree_with_autograd(trained: tuple[CollaborativeFiltering, Example]) -> None:
    for slope in lesson_of(trained[1]).slopes:
        assert slope.finite_difference == pytest.approx(slope.gradient, rel=1e-7)


def test_the_curve_is_lowest_at_an_error_of_zero_and_descent_goes_there() -> None:
    curve = lesson_of().curve
    assert curve.lowest.value == pytest.approx(0.7)
    assert curve.lowest.loss == pytest.approx(0.0) == pytest.approx(min(curve.losses))
    losses = [curve.here.loss, *(place.loss for place in curve.descents)]
    assert losses == sorted(losses, reverse=True)
    assert curve.descents[0].value == pytest.approx(lesson_of().update.new_value)


def test_a_penalty_on_the_bias_moves_the_lowest_point_towards_zero() -> None:
    lesson = lesson_of(by_hand(biases=0.25))
    curve = lesson.curve
    # (1 - 0.3 - b)^2 + 0.25 * b^2 is lowest at 0.7 / 1.25; the movie's bias adds 0.25 * 0.3^2
    assert curve.lowest.value == pytest.approx(0.56)
    assert curve.lowest.loss == pytest.approx(0.14**2 + 0.25 * (0.56**2 + 0.3**2))
    assert min(curve.losses) == pytest.approx(curve.lowest.loss)
    assert curve.descents[0].value == pytest.approx(lesson.update.new_value)
    assert "the penalty, which pulls to zero" in text_of(lesson)


@pytest.mark.parametrize("pull", [0.0, 0.25])
def test_descent_along_the_curve_is_torchs_own_sgd(pull: float) -> None:
    bias = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([bias], lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        ((1.0 - bias - 0.3).square() + pull * bias.square()).sum().backward()
        optimizer.step()
    assert lesson_of(by_hand(biases=pull)).curve.descents[-1].value == pytest.approx(float(bias.detach()), rel=1e-12)


@pytest.mark.parametrize("max_grad_norm", [1.0, 0.1])
def test_adams_steps_are_those_of_torch(max_grad_norm: float) -> None:
    bias = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([bias], lr=0.01)
    before, value = next_step(first_moment=0.0, second_moment=0.0, step=0), 0.3
    for gradient in (0.02, -0.5, 0.1, 3.0):
        bias.grad = torch.tensor([gradient], dtype=torch.float64)
        torch.nn.utils.clip_grad_norm_([bias], max_grad_norm)
        optimizer.step()
        given = replace(before, gradient=gradient, norm=abs(gradient), value=value)
        done = adam_step(given, learning_rate=0.01, max_grad_norm=max_grad_norm)
        state, value = optimizer.state[bias], done.new_value
        assert done.first_moment == pytest.approx(float(state["exp_avg"]), rel=1e-9)
        assert done.second_moment == pytest.approx(float(state["exp_avg_sq"]), rel=1e-9)
        assert value == pytest.approx(float(bias.detach()), rel=1e-9)
        before = replace(before, first_moment=done.first_moment, second_moment=done.second_moment, step=before.step + 1)


def test_a_rare_row_has_the_higher_effective_rate() -> None:
    *_, popular, rare = lesson_of().adam
    assert rare.effective_rate > popular.effective_rate
    assert f"{rare.effective_rate / popular.effective_rate:,.1f} times that of the popular" in text_of(lesson_of())


def test_clipping_is_that_of_torch_and_the_text_says_if_it_changes_nothing(
    trained: tuple[CollaborativeFiltering, Example],
) -> None:
    gradients = [torch.tensor([3.0]), torch.tensor([4.0])]
    for gradient in gradients:
        gradient.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_(gradients, 1.0)
    assert float(gradients[0].grad) == pytest.approx(3.0 * clip_coefficient(5.0, 1.0))  # type: ignore[arg-type]
    gentle, strict = lesson_of(trained[1], max_grad_norm=1e3), lesson_of(trained[1], max_grad_norm=0.01)
    assert gentle.clipping.new_value == gentle.update.new_value
    assert "would have changed nothing" in text_of(gentle)
    assert strict.clipping.coefficient == pytest.approx(0.01 / strict.clipping.norm, rel=1e-3)
    assert f"{strict.clipping.new_value:.6f} in place of {strict.update.new_value:.6f}" in text_of(strict)


def test_the_norm_of_one_ratings_gradient_has_its_closed_form() -> None:
    example = by_hand((0.6, 0.2), (0.1, -0.4), embeddings=0.0)
    lesson = lesson_of(example)
    squares = sum(example.rows[name].square().sum() for name in example.vectors)
    expected = 2 * abs(lesson.prediction.error) * float(squares + 2) ** 0.5
    assert lesson.clipping.norm == pytest.approx(expected, rel=1e-6)


def test_a_rating_that_is_predicted_exactly_has_a_lesson() -> None:
    lesson = lesson_of(replace(BY_HAND, rating=0.8))
    assert [nudge.decreased for nudge in lesson.nudges] == [False, False]
    assert text_of(lesson)
    assert lesson_html(lesson)
