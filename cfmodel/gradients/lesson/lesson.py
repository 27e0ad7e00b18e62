"""The computation of a lesson: gradients explained with a model's numbers for one real rating.

All numbers are computed from the model. The sections follow docs/gradients.md: the prediction, a nudge, the
slope, the curve, the update, Adam, clipping.
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

#: Change of the nudged parameter, in standard deviations of the ratings.
_NUDGE = 0.1
#: Half the step of the finite difference: small, but far above float64's rounding.
_HALF_STEP = 1e-4
#: Numbers of updates along the one parameter that are marked on the curve.
_DESCENTS = (1, 10, 100)
#: Points of the curve: an odd number, so that the middle one is the lowest.
_CURVE_POINTS = 121


def compute_lesson(
    example: Example,
    next_steps: Sequence[NextStep],
    *,
    learning_rate: float,
    last_learning_rate: float,
    max_grad_norm: float,
) -> Lesson:
    """Compute a lesson.

        loss = ((rating - prediction) / rating_std)^2 + sum over the tables of penalty * |row|^2

    In float64, so that finite differences can be compared with autograd.

    Args:
        example: The rating and its rows.
        next_steps: Biases whose next step of Adam is shown.
        learning_rate: Learning rate of every update shown, in weight units a step.
        last_learning_rate: Learning rate of the training's last update.
        max_grad_norm: Norm above which gradients are scaled down.
    """
    loss = _ExampleLoss(example)
    gradients = loss.gradients()
    parts, slope = loss.prediction(), float(gradients[example.nudged])
    value, along = loss.value(example.nudged), loss.along(example.nudged)
    clipping = _clipping(gradients, slope, value, learning_rate=learning_rate, max_grad_norm=max_grad_norm)
    return Lesson(
        user_id=example.user_id,
        movie_id=example.movie_id,
        part=example.part,
        vectors={example.names[name]: tuple(example.rows[name].tolist()) for name in example.vectors},
        nudged=example.names[example.nudged],
        prediction=parts,
        start={example.names[name]: value for name, value in example.start.items()},
        nudges=tuple(loss.nudge(change) for change in (_NUDGE, -_NUDGE)),
        slopes=tuple(loss.slopes(gradients)),
        curve=_curve(
            along,
            value,
            parts.error / parts.scale.std,
            pull=example.penalty[example.nudged],
            learning_rate=learning_rate,
        ),
        update=Update(value, learning_rate, slope, value - learning_rate * slope),
        clipping=clipping,
        adam=tuple(
            adam_step(before, learning_rate=learning_rate, max_grad_norm=max_grad_norm) for before in next_steps
        ),
        last_learning_rate=last_learning_rate,
    )


def adam_step(before: NextStep, *, learning_rate: float, max_grad_norm: float) -> AdamStep:
    """Return Adam's next step for one number.

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


def _curve(along: Callable[[float], float], here: float, error: float, *, pull: float, learning_rate: float) -> Curve:
    """Return the loss around its lowest point, on an interval that includes the model's position; all standardized."""
    # (here + error - value)^2 + pull * value^2 is lowest here:
    lowest = (here + error) / (1 + pull)
    reach = 1.25 * max(abs(lowest - here), _NUDGE)
    values = tuple((lowest + reach * np.linspace(-1.0, 1.0, _CURVE_POINTS)).tolist())
    descents, value = [], here
    for step in range(1, max(_DESCENTS) + 1):
        value -= learning_rate * -2 * (1 + pull) * (lowest - value)  # the derivative of that
        if step in _DESCENTS:
            descents.append(Descent(step, value, along(value)))
    return Curve(
        values=values,
        losses=tuple(map(along, values)),
        here=Descent(0, here, along(here)),
        lowest=Descent(0, lowest, along(lowest)),
        descents=tuple(descents),
    )


class _ExampleLoss:
    """The loss of one rating as a function of its rows, in float64."""

    def __init__(self, example: Example) -> None:
        self.example = example
        self.rating = float((example.rating - example.scale.mean) / example.scale.std)
        self.parameters = {
            name: row.detach().double().cpu().clone().requires_grad_() for name, row in example.rows.items()
        }

    def loss(self, parameters: dict[str, Tensor]) -> Tensor:
        penalty = (weight * parameters[name].square().sum() for name, weight in self.example.penalty.items())
        return reduce(torch.add, penalty, (self.rating - self.example.score(parameters)).square())

    def gradients(self) -> dict[str, Tensor]:
        found = torch.autograd.grad(self.loss(self.parameters), list(self.parameters.values()))
        return dict(zip(self.parameters, found, strict=True))

    def along(self, name: str, index: int = 0) -> Callable[[float], float]:
        """Return the loss as a function of one number, with all others fixed."""

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
        rating, scale = self.example.rating, self.example.scale
        prediction = scale.in_rating_units(float(self.example.score(self.parameters)))
        return Prediction(scale, terms, prediction, rating, rating - prediction)

    def nudge(self, change: float) -> Nudge:
        """Predict again with the nudged parameter changed."""
        name, old = self.example.nudged, self.prediction()
        score = self.example.score({**self.parameters, name: self.parameters[name] + change}).detach()
        new_prediction = self.example.scale.in_rating_units(float(score))
        new_error = self.example.rating - new_prediction
        return Nudge(change, self.value(name) + change, new_prediction, new_error, abs(new_error) < abs(old.error))

    def slopes(self, gradients: dict[str, Tensor]) -> list[Slope]:
        """Return the slopes along rows of width 1 and along the steepest number of a vector, with autograd's."""
        places = [(name, 0) for name in self.parameters if name not in self.example.vectors]
        for name in self.example.vectors[:1]:
            places.append((name, int(gradients[name].abs().argmax())))
        return [self._slope(name, index, float(gradients[name][index])) for name, index in places]

    def _slope(self, name: str, index: int, gradient: float) -> Slope:
        along, value = self.along(name, index), float(self.parameters[name].detach()[index])
        difference = (along(value + _HALF_STEP) - along(value - _HALF_STEP)) / (2 * _HALF_STEP)
        row = self.example.names[name]
        return Slope(f"{row}[{index}]" if name in self.example.vectors else row, value, difference, gradient)
