"""A lesson as plain text."""

from dataclasses import replace

from made_lessons import by_hand, lesson_of, text_of

from cfmodel.column_statistics import RatingScale
from cfmodel.gradients.lesson.text import lesson_sections, vector


def test_the_text_has_the_textbooks_words() -> None:
    text = text_of(lesson_of())
    for phrase in ("new_prediction", "new_error", "Error decreased!", "Error increased!", "You are here", "old_value"):
        assert phrase in text
    assert "new_prediction = (0.5000 + 0.1) * 1.0000 + 0.3000 = 0.9000" in text
    assert "new_value = old_value - (learning_rate * gradient)" in text
    assert "= 0.500000 - (0.01 * -0.400000)" in text


def test_the_text_says_how_standard_deviations_become_rating_units() -> None:
    lines = text_of(lesson_of(by_hand(scale=RatingScale(mean=50.0, std=20.0)))).splitlines()
    assert "The tables learn (rating - global_mean) / 20.000: standard deviations." in lines
    shown = [line.split() for line in lines]
    for line in (
        "global_mean +50.000", "user_bias +0.5000 * 20.000 = +10.000", "movie_bias +0.3000 * 20.000 = +6.000",
        "prediction = +66.000", "actual_rating +70.000", "error = actual_rating - prediction = +4.000",
        "new_prediction = (0.5000 + 0.1) * 20.000 + 56.000 = 68.000",
        "new_error = 70.000 - 68.000 = +2.000 # Error decreased!",
    ):  # fmt: skip
        assert line.split() in shown, line


def test_the_text_says_where_biases_in_closed_form_started() -> None:
    example = replace(by_hand(), start={"user_biases": 0.1034, "movie_biases": -0.221})
    *_, line = dict(lesson_sections(lesson_of(example)))["The prediction is a sum"]
    assert line == (
        "Before the first step user_bias was +0.1034 and movie_bias -0.2210: "
        "the best biases without embeddings, in closed form."
    )
    assert "Before the first step" not in text_of(lesson_of())


def test_the_chart_shows_the_curve_and_the_position_of_the_model() -> None:
    lines = dict(lesson_sections(lesson_of()))["Gradient descent"]
    frame = [line for line in lines if "│" in line]
    assert len(frame) == 12
    assert sum("●" in line for line in frame) == 1
    assert len({len(line) for line in frame}) == 1


def test_of_a_long_vector_the_first_numbers_are_printed() -> None:
    assert vector((0.5, -0.25, 1.0, 2.0)) == "[0.500, -0.250, 1.000, ...]  # 4 numbers"
    assert vector((0.5, -0.25)) == "[0.500, -0.250]  # 2 numbers"
