"""Lessons about the textbook's own example."""

from dataclasses import replace

import torch
from penalties import penalty_of

from cfmodel.column_statistics import RatingScale
from cfmodel.gradients.lesson.lesson import compute_lesson
from cfmodel.gradients.lesson.lesson_records import Example, Lesson, NextStep
from cfmodel.gradients.lesson.text import lesson_sections
from cfmodel.model import CollaborativeFiltering
from cfmodel.training.explain import example_of


def by_hand(
    user_embedding: tuple[float, ...] = (0.0, 0.0),
    movie_embedding: tuple[float, ...] = (0.0, 0.0),
    scale: RatingScale = RatingScale(),
    *,
    embeddings: float = 0.1,
    biases: float = 0.0,
) -> Example:
    """The textbook's own example: biases of 0.5 and 0.3, a standardized rating of 1, and these penalties."""
    model = CollaborativeFiltering(1, 1, 2, scale=scale, init_std=0.0).double()
    rows = {"user_embeddings": user_embedding, "user_biases": (0.5,), "movie_biases": (0.3,)}
    with torch.no_grad():
        for name, row in {**rows, "movie_embeddings": movie_embedding}.items():
            model.weights()[name][0] = torch.tensor(row, dtype=torch.float64)
    rating = scale.in_rating_units(1.0)
    return example_of(
        model,
        {"user": 0, "movie": 0},
        user_id="123",
        movie_id="456",
        rating=rating,
        part="train",
        penalty=penalty_of(model, embeddings=embeddings, biases=biases),
    )


BY_HAND = by_hand()
SETTINGS = {"learning_rate": 0.01, "last_learning_rate": 0.001, "max_grad_norm": 1.0}


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
    return compute_lesson(example, STEPS, **{**SETTINGS, **changes})


def text_of(lesson: Lesson) -> str:
    return "\n".join(line for title, lines in lesson_sections(lesson) for line in (title, *lines))
