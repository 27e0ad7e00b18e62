"""What a gradient is, told with a model's own numbers for one real rating.

Everything in a lesson is computed from tensors: nothing is typed in. The sections follow
docs/gradients.md: the prediction, a nudge, the slope, the curve, the update, Adam, clipping.
"""

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from cfmodel.gradients.lesson.lesson_records import (
    AdamStep,
    Clipping,
    Curve,
    Descent,
    Example,
    Lesson,
    NextStep,
    Nudge,
    Prediction,
    Slope,
    Update,
)
from cfmodel.optimizer import BETA_1, BETA_2, EPSILON, clip_coefficient

#: How far a bias is nudged, in rating units.
NUDGE = 0.1
#: Half the distance over which the slope is measured: small, yet far above float64's rounding.
HALF_STEP = 1e-4
#: Descents marked on the curve: so many updates in a row along the one parameter.
DESCENTS = (1, 10, 100)
#: Points of the drawn curve: odd, so that the middle one is the lowest.
CURVE_POINTS = 121


def teach(
    example: Example,
    next_steps: Sequence[NextStep],
    *,
    learning_rate: float,
    last_learning_rate: float,
    regularization: float,
    max_grad_norm: float,
) -> Lesson:
    """Compute a lesson.

        loss = (rating - prediction)^2 + regularization * sum of |row|^2 over the penalized tables

    In float64, so that what is measured and what is derived can be compared.

    Args:
        example: The rating and its rows.
        next_steps: Biases to show Adam's step of.
        learning_rate: Rate of every update shown, in weight units a step.
        last_learning_rate: Rate of training's last update.
        regularization: Weight of the penalty.
        max_grad_norm: Norm above which gradients are scaled down.
    """
    rows = _Rows(example, regularization)
    gradients = rows.gradients()
    parts, slope = rows.prediction(), float(gradients[example.nudged])
    value, along = rows.value(example.nudged), rows.along(example.nudged)
    clipping = _clipping(gradients, slope, value, learning_rate=learning_rate, max_grad_norm=max_grad_norm)
    return Lesson(
        user_id=example.user_id,
        movie_id=example.movie_id,
        part=example.part,
        vectors={example.names[name]: tuple(example.rows[name].tolist()) for name in example.vectors},
        nudged=example.names[example.nudged],
        prediction=parts,
        nudges=tuple(rows.nudge(change) for change in (NUDGE, -NUDGE)),
        slopes=tuple(rows.slopes(gradients)),
        curve=_curve(along, value, parts.error, learning_rate=learning_rate),
        update=Update(value, learning_rate, slope, value - learning_rate * slope),
        clipping=clipping,
        adam=tuple(
            adam_step(before, learning_rate=learning_rate, max_grad_norm=max_grad_norm) for before in next_steps
        ),
        last_learning_rate=last_learning_rate,
    )


def adam_step(before: NextStep, *, learning_rate: float, max_grad_norm: float) -> AdamStep:
    """Do Adam's next step with one number.

        m = 0.9 m + 0.1 g        v = 0.999 v + 0.001 g^2
        new = old - learning_rate * (m / (1 - 0.9^t)) / (sqrt(v / (1 - 0.999^t)) + 1e-8)

    Source: Kingma & Ba, "Adam: A Method for Stochastic Optimization" (2015), algorithm 1.
    """
    coefficient = clip_coefficient(before.norm, max_grad_norm)
    gradient, step = coefficient * before.gradient, before.step + 1
    first = BETA_1 * before.first_moment + (1 - BETA_1) * gradient
    second = BETA_2 * before.second_moment + (1 - BETA_2) * gradient**2
    effective_rate = learning_rate / (float(np.sqrt(second / (1 - BETA_2**step))) + EPSILON)
    return AdamStep(
        before=before,
        gradient=gradient,
        coefficient=coefficient,
        first_moment=first,
        second_moment=second,
        effective_rate=effective_rate,
        plain_change=-learning_rate * gradient,
        change=-effective_rate * first / (1 - BETA_1**step),
    )


def _clipping(
    gradients: dict[str, Tensor], slope: float, value: float, *, learning_rate: float, max_grad_norm: float
) -> Clipping:
    norm = float(torch.stack([gradient.square().sum() for gradient in gradients.values()]).sum().sqrt())
    coefficient = clip_coefficient(norm, max_grad_norm)
    clipped = coefficient * slope
    return Clipping(norm, max_grad_norm, coefficient, clipped, value - learning_rate * clipped)


def _curve(along: Callable[[float], float], here: float, error: float, *, learning_rate: float) -> Curve:
    """Draw the loss around its lowest point, wide enough that the model's place is well inside."""
    lowest, reach = here + error, 1.25 * max(abs(error), NUDGE)
    values = tuple((lowest + reach * np.linspace(-1.0, 1.0, CURVE_POINTS)).tolist())
    descents, value = [], here
    for step in range(1, max(DESCENTS) + 1):
        value -= learning_rate * -2 * (lowest - value)  # the slope of the squared error, from the derivative
        if step in DESCENTS:
            descents.append(Descent(step, value, along(value)))
    return Curve(
        values=values,
        losses=tuple(map(along, values)),
        here=Descent(0, here, along(here)),
        lowest=Descent(0, lowest, along(lowest)),
        descents=tuple(descents),
    )


class _Rows:
    """The rows of one rating in float64, and its loss as a function of them."""

    def __init__(self, example: Example, regularization: float) -> None:
        self.example, self.regularization = example, regularization
        self.parameters = {
            name: row.detach().double().cpu().clone().requires_grad_() for name, row in example.rows.items()
        }

    def loss(self, parameters: dict[str, Tensor]) -> Tensor:
        squares = reduce(torch.add, (parameters[name].square().sum() for name in self.example.penalized))
        return (self.example.rating - self.example.predict(parameters)).square() + self.regularization * squares

    def gradients(self) -> dict[str, Tensor]:
        found = torch.autograd.grad(self.loss(self.parameters), list(self.parameters.values()))
        return dict(zip(self.parameters, found, strict=True))

    def along(self, name: str, index: int = 0) -> Callable[[float], float]:
        """Return the loss as a function of one number, everything else as it is."""

        @torch.no_grad()
        def loss(value: float) -> float:
            changed = self.parameters[name].clone()
            changed[index] = value
            return float(self.loss({**self.parameters, name: changed}))

        return loss

    def value(self, name: str) -> float:
        return float(self.parameters[name].detach()[0])

    @torch.no_grad()
    def prediction(self) -> Prediction:
        terms = {name: float(value) for name, value in self.example.terms(self.parameters).items()}
        prediction, rating = float(self.example.predict(self.parameters)), self.example.rating
        return Prediction(self.example.global_mean, terms, prediction, rating, rating - prediction)

    def nudge(self, change: float) -> Nudge:
        """Predict again with the nudged parameter changed."""
        name, old = self.example.nudged, self.prediction()
        new_prediction = float(self.example.predict({**self.parameters, name: self.parameters[name] + change}).detach())
        new_error = self.example.rating - new_prediction
        return Nudge(change, self.value(name) + change, new_prediction, new_error, abs(new_error) < abs(old.error))

    def slopes(self, gradients: dict[str, Tensor]) -> list[Slope]:
        """Measure the slope along every single number and along a vector's steepest one, beside autograd's."""
        places = [(name, 0) for name in self.parameters if name not in self.example.vectors]
        for name in self.example.vectors[:1]:
            places.append((name, int(gradients[name].abs().argmax())))
        return [self._slope(name, index, float(gradients[name][index])) for name, index in places]

    def _slope(self, name: str, index: int, gradient: float) -> Slope:
        along, value = self.along(name, index), float(self.parameters[name].detach()[index])
        difference = (along(value + HALF_STEP) - along(value - HALF_STEP)) / (2 * HALF_STEP)
        called = self.example.names[name]
        shown = f"{called}[{index}]" if name in self.example.vectors else called
        return Slope(shown, value, difference, gradient)
