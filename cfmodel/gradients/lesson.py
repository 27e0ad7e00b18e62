"""What a gradient is, told with a model's own numbers for one real rating.

Everything in a lesson is computed from tensors: nothing is typed in. The sections follow
docs/gradients.md: the prediction, a nudge, the slope, the curve, the update, Adam, clipping.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

#: How far a bias is nudged, in rating units.
NUDGE = 0.1
#: Half the distance over which the slope is measured: small, yet far above float64's rounding.
HALF_STEP = 1e-4
#: Descents marked on the curve: so many updates in a row along the one parameter.
DESCENTS = (1, 10, 100)
#: Points of the drawn curve: odd, so that the middle one is the lowest.
CURVE_POINTS = 121
#: Adam's own constants, torch's defaults.
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True, eq=False)
class Example:
    """One rating and the rows of the tables that predict it.

    Attributes:
        user_id: The user, as the source knows them.
        movie_id: The movie, likewise.
        rating: What the user gave, in rating units.
        part: Part of the split it is from.
        global_mean: Mean of the training ratings, in rating units.
        user_embedding: The user's taste, shape (K,).
        user_bias: Rating units above the mean, shape (1,).
        movie_embedding: The movie's features, shape (K,).
        movie_bias: Rating units above the mean, shape (1,).
    """

    user_id: str
    movie_id: str
    rating: float
    part: str
    global_mean: float
    user_embedding: Tensor
    user_bias: Tensor
    movie_embedding: Tensor
    movie_bias: Tensor


@dataclass(frozen=True)
class NextStep:
    """One bias in the next batch that training would have put it in, and what Adam remembers of it.

    Attributes:
        who: Which row this is: `the user`, `the movie`, `a popular movie`, `a rare movie`.
        name: `user_bias` or `movie_bias`.
        id: Whose.
        ratings: Training ratings of it.
        in_batch: How many of them are in the batch.
        batch_size: Ratings in the batch.
        value: The bias, in rating units.
        gradient: Of the batch's loss, before clipping.
        norm: L2 norm of the batch's whole gradient.
        first_moment: Running mean of its gradients before the step.
        second_moment: Running mean of their squares before the step.
        step: Updates Adam had done before.
    """

    who: str
    name: str
    id: str
    ratings: int
    in_batch: int
    batch_size: int
    value: float
    gradient: float
    norm: float
    first_moment: float
    second_moment: float
    step: int


@dataclass(frozen=True)
class Prediction:
    """A prediction as the sum of its parts, in rating units; error is rating less prediction."""

    global_mean: float
    user_bias: float
    movie_bias: float
    taste: float
    prediction: float
    rating: float
    error: float


@dataclass(frozen=True)
class Nudge:
    """What a small change of `user_bias` does to the error, in rating units."""

    change: float
    new_value: float
    new_prediction: float
    new_error: float
    decreased: bool


@dataclass(frozen=True)
class Slope:
    """The slope of the loss along one parameter, measured and derived.

    Attributes:
        name: The parameter.
        value: Where it is.
        finite_difference: `(loss(value + h) - loss(value - h)) / 2h`.
        gradient: What autograd derives.
    """

    name: str
    value: float
    finite_difference: float
    gradient: float


@dataclass(frozen=True)
class Descent:
    """A place on the curve after so many updates of the one parameter."""

    steps: int
    value: float
    loss: float


@dataclass(frozen=True)
class Curve:
    """The loss of the rating along `user_bias`, everything else as it is.

    Attributes:
        values: Places, rising, shape (P,).
        losses: Loss at each, in rating units squared, shape (P,).
        here: Where the model is: no step done.
        lowest: Where the loss is lowest.
        descents: Where plain descent gets after 1, 10 and 100 steps.
    """

    values: tuple[float, ...]
    losses: tuple[float, ...]
    here: Descent
    lowest: Descent
    descents: tuple[Descent, ...]


@dataclass(frozen=True)
class Update:
    """`new_value = old_value - learning_rate * gradient`, for `user_bias` and this rating alone."""

    old_value: float
    learning_rate: float
    gradient: float
    new_value: float


@dataclass(frozen=True)
class Clipping:
    """What clipping makes of the gradient of this rating alone.

    Attributes:
        norm: L2 norm of the gradient over all rows the rating touches.
        max_grad_norm: Largest norm left as it is.
        coefficient: What the gradient is multiplied by, at most 1.
        gradient: `user_bias`'s, after it.
        new_value: `user_bias` after the update with it.
    """

    norm: float
    max_grad_norm: float
    coefficient: float
    gradient: float
    new_value: float


@dataclass(frozen=True)
class AdamStep:
    """What Adam does with one bias in its next batch, beside plain descent.

    Attributes:
        before: The bias and what is known of it.
        gradient: Of the batch's loss, clipped.
        coefficient: What clipping multiplied it by.
        first_moment: After the step: `0.9 * before + 0.1 * gradient`.
        second_moment: After the step: `0.999 * before + 0.001 * gradient ** 2`.
        effective_rate: `learning_rate / (sqrt(second_moment / correction) + 1e-8)`: what Adam
            multiplies the (corrected) first moment by.
        plain_change: `-learning_rate * gradient`.
        change: What Adam adds instead.
    """

    before: NextStep
    gradient: float
    coefficient: float
    first_moment: float
    second_moment: float
    effective_rate: float
    plain_change: float
    change: float

    @property
    def new_value(self) -> float:
        """The bias after Adam's step."""
        return self.before.value + self.change


@dataclass(frozen=True)
class Lesson:
    """The textbook's sections, in order, for one rating.

    Attributes:
        user_id: The user.
        movie_id: The movie.
        part: Part of the split the rating is from.
        user_embedding: The user's taste.
        movie_embedding: The movie's features.
        prediction: The sum and the error.
        nudges: `user_bias` up and down by a tenth.
        slopes: Of both biases and of the embedding number with the steepest slope.
        curve: The loss along `user_bias`.
        update: The textbook's update of it.
        clipping: What clipping would have changed in it.
        adam: What Adam does instead, for the user, the movie, a popular and a rare movie.
        last_learning_rate: The rate of the last update of training, where the schedule had brought it.
    """

    user_id: str
    movie_id: str
    part: str
    user_embedding: tuple[float, ...]
    movie_embedding: tuple[float, ...]
    prediction: Prediction
    nudges: tuple[Nudge, ...]
    slopes: tuple[Slope, ...]
    curve: Curve
    update: Update
    clipping: Clipping
    adam: tuple[AdamStep, ...]
    last_learning_rate: float


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

        loss = (rating - prediction)^2 + regularization * (|user_embedding|^2 + |movie_embedding|^2)

    In float64, so that what is measured and what is derived can be held against each other.

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
    bias, slope = float(rows.parameters["user_bias"]), float(gradients["user_bias"])
    along = rows.along("user_bias")
    clipping = _clipping(gradients, bias, learning_rate=learning_rate, max_grad_norm=max_grad_norm)
    return Lesson(
        user_id=example.user_id,
        movie_id=example.movie_id,
        part=example.part,
        user_embedding=tuple(example.user_embedding.tolist()),
        movie_embedding=tuple(example.movie_embedding.tolist()),
        prediction=rows.prediction(),
        nudges=tuple(rows.nudge(change) for change in (NUDGE, -NUDGE)),
        slopes=tuple(rows.slopes(gradients)),
        curve=_curve(along, bias, rows.prediction().error, learning_rate=learning_rate),
        update=Update(bias, learning_rate, slope, bias - learning_rate * slope),
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


def clip_coefficient(norm: float, max_grad_norm: float) -> float:
    """Return what clipping multiplies gradients of this joint norm by: `min(1, max_grad_norm / (norm + 1e-6))`."""
    return min(1.0, max_grad_norm / (norm + 1e-6))


def _clipping(gradients: dict[str, Tensor], bias: float, *, learning_rate: float, max_grad_norm: float) -> Clipping:
    norm = float(torch.stack([gradient.square().sum() for gradient in gradients.values()]).sum().sqrt())
    coefficient = clip_coefficient(norm, max_grad_norm)
    clipped = coefficient * float(gradients["user_bias"])
    return Clipping(norm, max_grad_norm, coefficient, clipped, bias - learning_rate * clipped)


def _curve(along: Callable[[float], float], bias: float, error: float, *, learning_rate: float) -> Curve:
    """Draw the loss around its lowest point, wide enough that the model's place is well inside."""
    lowest, reach = bias + error, 1.25 * max(abs(error), NUDGE)
    values = tuple((lowest + reach * np.linspace(-1.0, 1.0, CURVE_POINTS)).tolist())
    descents, value = [], bias
    for step in range(1, max(DESCENTS) + 1):
        value -= learning_rate * -2 * (lowest - value)  # the slope of the squared error, from the derivative
        if step in DESCENTS:
            descents.append(Descent(step, value, along(value)))
    return Curve(
        values=values,
        losses=tuple(map(along, values)),
        here=Descent(0, bias, along(bias)),
        lowest=Descent(0, lowest, along(lowest)),
        descents=tuple(descents),
    )


class _Rows:
    """The rows of one rating in float64, and its loss as a function of them."""

    def __init__(self, example: Example, regularization: float) -> None:
        self.example, self.regularization = example, regularization
        names = ("user_embedding", "user_bias", "movie_embedding", "movie_bias")
        self.parameters = {
            name: getattr(example, name).detach().double().cpu().clone().requires_grad_() for name in names
        }

    def predict(self, parameters: dict[str, Tensor]) -> Tensor:
        taste = (parameters["user_embedding"] * parameters["movie_embedding"]).sum()
        return self.example.global_mean + parameters["user_bias"].sum() + parameters["movie_bias"].sum() + taste

    def loss(self, parameters: dict[str, Tensor]) -> Tensor:
        squares = sum(parameters[f"{side}_embedding"].square().sum() for side in ("user", "movie"))
        return (self.example.rating - self.predict(parameters)).square() + self.regularization * squares

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

    @torch.no_grad()
    def prediction(self) -> Prediction:
        bias, movie_bias = float(self.parameters["user_bias"]), float(self.parameters["movie_bias"])
        taste = float((self.parameters["user_embedding"] * self.parameters["movie_embedding"]).sum())
        prediction = self.example.global_mean + bias + movie_bias + taste
        error = self.example.rating - prediction
        return Prediction(self.example.global_mean, bias, movie_bias, taste, prediction, self.example.rating, error)

    def nudge(self, change: float) -> Nudge:
        """Predict again with a changed `user_bias`."""
        old = self.prediction()
        changed = {**self.parameters, "user_bias": self.parameters["user_bias"] + change}
        new_prediction = float(self.predict(changed).detach())
        new_error = self.example.rating - new_prediction
        return Nudge(change, old.user_bias + change, new_prediction, new_error, abs(new_error) < abs(old.error))

    def slopes(self, gradients: dict[str, Tensor]) -> list[Slope]:
        """Measure the slope along both biases and along the user's steepest number, beside autograd's."""
        steepest = int(gradients["user_embedding"].abs().argmax())
        places = (("user_bias", 0), ("movie_bias", 0), ("user_embedding", steepest))
        return [self._slope(name, index, float(gradients[name][index])) for name, index in places]

    def _slope(self, name: str, index: int, gradient: float) -> Slope:
        along, value = self.along(name, index), float(self.parameters[name][index])
        difference = (along(value + HALF_STEP) - along(value - HALF_STEP)) / (2 * HALF_STEP)
        shown = name if len(self.parameters[name]) == 1 else f"{name}[{index}]"
        return Slope(shown, value, difference, gradient)
