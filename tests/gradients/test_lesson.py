"""A lesson's numbers against autograd, against torch's Adam and clipping, and worked by hand."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch

from cfmodel.gradients.lesson.html import as_html
from cfmodel.gradients.lesson.lesson import adam_step, teach
from cfmodel.gradients.lesson.lesson_records import Example, Lesson, NextStep
from cfmodel.gradients.lesson.text import as_text
from cfmodel.model import CollaborativeFiltering
from cfmodel.optimizer import clip_coefficient
from cfmodel.training.explain import example_of


def by_hand(user_embedding: tuple[float, ...] = (0.0, 0.0), movie_embedding: tuple[float, ...] = (0.0, 0.0)) -> Example:
    """The textbook's own example: biases of 0.5 and 0.3, and a rating of 1."""
    model = CollaborativeFiltering(1, 1, 2, init_std=0.0).double()
    rows = {"user_embeddings": user_embedding, "user_biases": (0.5,), "movie_biases": (0.3,)}
    with torch.no_grad():
        for name, row in {**rows, "movie_embeddings": movie_embedding}.items():
            model.weights()[name][0] = torch.tensor(row, dtype=torch.float64)
    return example_of(model, {"user": 0, "movie": 0}, user_id="123", movie_id="456", rating=1.0, part="train")


BY_HAND = by_hand()
SETTINGS = {"learning_rate": 0.01, "last_learning_rate": 0.001, "regularization": 0.1, "max_grad_norm": 1.0}


def next_step(who: str = "the user", **changes: object) -> NextStep:
    step = NextStep(
        who=who,
        name="movie_bias",
        id="456",
        ratings=7,
        in_batch=1,
        batch_size=32,
        value=0.3,
        gradient=0.02,
        norm=0.5,
        first_moment=0.01,
        second_moment=1e-4,
        step=100,
    )
    return replace(step, **changes)  # type: ignore[arg-type]


STEPS = [
    next_step("the user", name="user_bias", id="123"),
    next_step("the movie"),
    next_step("a popular movie", second_moment=4e-4),
    next_step("a rare movie", second_moment=1e-6),
]


def lesson_of(example: Example = BY_HAND, **changes: float) -> Lesson:
    return teach(example, STEPS, **{**SETTINGS, **changes})


def text_of(lesson: Lesson) -> str:
    return "\n".join(line for title, lines in as_text(lesson) for line in (title, *lines))


@pytest.fixture
def trained() -> tuple[CollaborativeFiltering, Example]:
    """A model with random tables, and the rating of user 1 and movie 2."""
    model = CollaborativeFiltering(3, 4, 5, global_mean=3.5, init_std=0.7, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.user_biases.weight.normal_(generator=torch.Generator().manual_seed(2))
        model.movie_biases.weight.normal_(generator=torch.Generator().manual_seed(3))
    rows = {"user": 1, "movie": 2}
    return model, example_of(model, rows, user_id="u", movie_id="m", rating=4.5, part="train")


def test_the_textbooks_own_example_comes_out_as_the_textbook_has_it() -> None:
    lesson = lesson_of()
    assert lesson.prediction.prediction == pytest.approx(0.8)
    assert lesson.prediction.error == pytest.approx(0.2)
    up, down = lesson.nudges
    assert (up.new_prediction, up.new_error, up.decreased) == (pytest.approx(0.9), pytest.approx(0.1), True)
    assert (down.new_prediction, down.new_error, down.decreased) == (pytest.approx(0.7), pytest.approx(0.3), False)
    assert lesson.update.gradient == pytest.approx(-0.4)
    assert lesson.update.new_value == pytest.approx(0.5 - 0.01 * -0.4)


def test_the_parts_add_up_to_what_the_model_predicts(trained: tuple[CollaborativeFiltering, Example]) -> None:
    model, example = trained
    parts = lesson_of(example).prediction
    assert parts.global_mean + sum(parts.terms.values()) == pytest.approx(parts.prediction)
    assert parts.prediction == pytest.approx(float(model(torch.tensor([1]), torch.tensor([2])).detach()), abs=1e-5)


def test_slopes_are_what_autograd_finds_in_the_model(trained: tuple[CollaborativeFiltering, Example]) -> None:
    model, example = trained
    rows = model.look_up(torch.tensor([1]), torch.tensor([2]))
    squares = rows["user_embeddings"].square().sum() + rows["movie_embeddings"].square().sum()
    ((4.5 - model.combine(rows)).square().sum() + 0.1 * squares).backward()
    user_bias, movie_bias, steepest = lesson_of(example).slopes
    grads = {name: table.grad for name, table in model.named_parameters()}
    assert user_bias.gradient == pytest.approx(float(grads["user_biases.weight"][1, 0]), rel=1e-4)
    assert movie_bias.gradient == pytest.approx(float(grads["movie_biases.weight"][2, 0]), rel=1e-4)
    expected = grads["user_embeddings.weight"][1]
    assert steepest.name == f"user_embedding[{int(expected.abs().argmax())}]"
    assert abs(steepest.gradient) == pytest.approx(float(expected.abs().max()), rel=1e-4)


def test_the_measured_slope_is_the_derived_one(trained: tuple[CollaborativeFiltering, Example]) -> None:
    for slope in lesson_of(trained[1]).slopes:
        assert slope.finite_difference == pytest.approx(slope.gradient, rel=1e-7)


def test_the_curve_is_lowest_where_the_error_is_gone_and_descent_goes_there() -> None:
    curve = lesson_of().curve
    assert curve.lowest.value == pytest.approx(0.7)
    assert curve.lowest.loss == pytest.approx(0.0) == pytest.approx(min(curve.losses))
    losses = [curve.here.loss, *(place.loss for place in curve.descents)]
    assert losses == sorted(losses, reverse=True)
    assert curve.descents[0].value == pytest.approx(lesson_of().update.new_value)


def test_descent_along_the_curve_is_torchs_own_sgd() -> None:
    bias = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([bias], lr=0.01)
    for _ in range(100):
        optimizer.zero_grad()
        (1.0 - bias - 0.3).square().sum().backward()
        optimizer.step()
    assert lesson_of().curve.descents[-1].value == pytest.approx(float(bias.detach()), rel=1e-12)


@pytest.mark.parametrize("max_grad_norm", [1.0, 0.1])
def test_adams_steps_are_those_of_torch(max_grad_norm: float) -> None:
    bias = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([bias], lr=0.01)
    before, value = next_step(first_moment=0.0, second_moment=0.0, step=0), 0.3
    for gradient in (0.02, -0.5, 0.1, 3.0):
        bias.grad = torch.tensor([gradient], dtype=torch.float64)
        torch.nn.utils.clip_grad_norm_([bias], max_grad_norm)
        optimizer.step()
        told = replace(before, gradient=gradient, norm=abs(gradient), value=value)
        done = adam_step(told, learning_rate=0.01, max_grad_norm=max_grad_norm)
        state, value = optimizer.state[bias], done.new_value
        assert done.first_moment == pytest.approx(float(state["exp_avg"]), rel=1e-9)
        assert done.second_moment == pytest.approx(float(state["exp_avg_sq"]), rel=1e-9)
        assert value == pytest.approx(float(bias.detach()), rel=1e-9)
        before = replace(before, first_moment=done.first_moment, second_moment=done.second_moment, step=before.step + 1)


def test_a_rare_row_has_the_higher_effective_rate() -> None:
    *_, popular, rare = lesson_of().adam
    assert rare.effective_rate > popular.effective_rate
    assert f"{rare.effective_rate / popular.effective_rate:,.1f} times that of the popular" in text_of(lesson_of())


def test_clipping_is_torchs_and_says_when_it_changes_nothing(trained: tuple[CollaborativeFiltering, Example]) -> None:
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
    example = by_hand((0.6, 0.2), (0.1, -0.4))
    lesson = lesson_of(example, regularization=0.0)
    squares = sum(example.rows[name].square().sum() for name in example.vectors)
    expected = 2 * abs(lesson.prediction.error) * float(squares + 2) ** 0.5
    assert lesson.clipping.norm == pytest.approx(expected, rel=1e-6)


def test_the_text_has_the_textbooks_words() -> None:
    text = text_of(lesson_of())
    for words in ("new_prediction", "new_error", "Error decreased!", "Error increased!", "You are here", "old_value"):
        assert words in text
    assert "new_prediction = (0.5000 + 0.1) + 0.3000 = 0.9000" in text
    assert "new_value = old_value - (learning_rate * gradient)" in text
    assert "= 0.500000 - (0.01 * -0.400000)" in text


def test_the_drawing_shows_the_curve_and_where_the_model_is() -> None:
    lines = dict(as_text(lesson_of()))["Gradient descent"]
    frame = [line for line in lines if "│" in line]
    assert len(frame) == 12
    assert sum("●" in line for line in frame) == 1
    assert len({len(line) for line in frame}) == 1


class Balanced(HTMLParser):
    """Notes tags that are closed in another order than they were opened."""

    VOID = frozenset({"circle", "line", "path", "polyline", "rect"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in self.VOID


def test_the_page_fragment_is_whole_and_self_contained() -> None:
    page = as_html(lesson_of())
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []
    assert {"section", "svg", "table", "pre"} <= parser.seen
    assert not {"script", "link", "img", "iframe"} & parser.seen
    assert "http" not in page
    assert "You are here" in page
    assert "Error decreased!" in page


def test_ids_are_escaped_in_the_page() -> None:
    page = as_html(lesson_of(replace(BY_HAND, user_id="<script>alert(1)</script>", movie_id='"&')))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "&quot;&amp;" in page


def test_a_rating_predicted_exactly_still_makes_a_lesson() -> None:
    lesson = lesson_of(replace(BY_HAND, rating=0.8))
    assert [nudge.decreased for nudge in lesson.nudges] == [False, False]
    assert text_of(lesson)
    assert as_html(lesson)
