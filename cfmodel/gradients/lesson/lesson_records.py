"""The input and the content of a lesson, as frozen records."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from cfmodel.column_statistics import RatingScale


@dataclass(frozen=True, eq=False)
class Example:
    """One rating and the rows of the tables that predict it.

    Attributes:
        user_id: The user's id.
        movie_id: The movie's id.
        rating: The true rating, in rating units.
        part: Part of the split.
        scale: Mean and standard deviation of the training ratings.
        rows: The rows by table, each of shape (width,).
        names: Name of a row, by table.
        vectors: Tables whose rows are vectors.
        penalty: The penalty's weight for each rating of the row, by table.
        start: Rows of single numbers that started in closed form, by table: their values before the first step, in
            standard deviations.
        score: Returns the score from the rows, in standard deviations, a scalar.
        terms: Returns the terms of the score, by name.
    """

    user_id: str
    movie_id: str
    rating: float
    part: str
    scale: RatingScale
    rows: Mapping[str, Tensor]
    names: Mapping[str, str]
    vectors: tuple[str, ...]
    penalty: Mapping[str, float]
    start: Mapping[str, float]
    score: Callable[[Mapping[str, Tensor]], Tensor]
    terms: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]

    @property
    def nudged(self) -> str:
        """The parameter that the lesson changes: the first table whose row is a single number."""
        return next(name for name in self.rows if name not in self.vectors)


@dataclass(frozen=True)
class NextStep:
    """One bias, its gradient in the next batch of training that has a rating of it, and Adam's state.

    Attributes:
        who: Whose bias: `the user`, `the movie`, `a popular movie`, `a rare movie`.
        name: Name of the bias, such as `user_bias`.
        id: Id of the user or movie.
        ratings: Training ratings of the user or movie.
        in_batch: How many of them are in the batch.
        batch_size: Ratings in the batch.
        value: The bias, in standard deviations of the ratings.
        gradient: Gradient of the batch's loss, before clipping.
        norm: L2 norm of the batch's whole gradient.
        first_moment: Running mean of the bias's gradients before the step.
        second_moment: Running mean of their squares before the step.
        step: Updates before the step.
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
    """A prediction as the sum of its terms; error is rating less prediction.

        prediction = global_mean + rating_std * sum of the terms

    Attributes:
        scale: Mean and standard deviation of the training ratings, in rating units, as are prediction, rating, error.
        terms: The terms by name, in standard deviations.
    """

    scale: RatingScale
    terms: dict[str, float]
    prediction: float
    rating: float
    error: float


@dataclass(frozen=True)
class Nudge:
    """The effect of a small change of the nudged parameter on prediction and error, in rating units.

    `change` and `new_value` are in standard deviations, as the parameter is.
    """

    change: float
    new_value: float
    new_prediction: float
    new_error: float
    decreased: bool


@dataclass(frozen=True)
class Slope:
    """The slope of the loss along one parameter, by finite differences and by autograd.

    Attributes:
        name: The parameter.
        value: Its value.
        finite_difference: `(loss(value + h) - loss(value - h)) / 2h`.
        gradient: Autograd's derivative.
    """

    name: str
    value: float
    finite_difference: float
    gradient: float


@dataclass(frozen=True)
class Descent:
    """A point of the curve, after a number of updates of the one parameter."""

    steps: int
    value: float
    loss: float


@dataclass(frozen=True)
class Curve:
    """The loss of the rating along the nudged parameter, with all others fixed.

    Attributes:
        values: Values of the parameter, rising, shape (P,).
        losses: Loss at each, as a share of the ratings' variance, shape (P,).
        here: The model's position.
        lowest: The lowest point.
        descents: The points after 1, 10 and 100 steps of plain descent.
    """

    values: tuple[float, ...]
    losses: tuple[float, ...]
    here: Descent
    lowest: Descent
    descents: tuple[Descent, ...]


@dataclass(frozen=True)
class Update:
    """`new_value = old_value - learning_rate * gradient`, for the nudged parameter and this rating alone."""

    old_value: float
    learning_rate: float
    gradient: float
    new_value: float


@dataclass(frozen=True)
class Clipping:
    """Clipping of the gradient of this rating alone.

    Attributes:
        norm: L2 norm of the gradient over all rows of the rating.
        max_grad_norm: Largest norm that is not scaled down.
        coefficient: Factor by which clipping scales the gradient, at most 1.
        gradient: The nudged parameter's gradient after clipping.
        new_value: The nudged parameter after the update with it.
    """

    norm: float
    max_grad_norm: float
    coefficient: float
    gradient: float
    new_value: float


@dataclass(frozen=True)
class AdamStep:
    """Adam's step of one bias in its next batch, compared with plain descent.

    Attributes:
        before: The bias before the step.
        gradient: Gradient of the batch's loss, clipped.
        coefficient: Factor by which clipping scaled it.
        first_moment: After the step: `0.9 * before + 0.1 * gradient`.
        second_moment: After the step: `0.999 * before + 0.001 * gradient ** 2`.
        effective_rate: Adam's factor of the corrected first moment, `learning_rate / (sqrt(second_moment /
            correction) + 1e-8)`.
        plain_change: Plain descent's change: `-learning_rate * gradient`.
        change: Adam's change.
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
        part: Part of the split.
        vectors: The rows that are vectors, by name.
        nudged: Name of the parameter that is changed, such as `user_bias`.
        prediction: The terms of the prediction and the error.
        start: Values before the first step of the numbers that started in closed form, by name.
        nudges: The parameter up and down by a tenth.
        slopes: Of every row that is a single number, and of the steepest number of a vector.
        curve: The loss along the parameter.
        update: The textbook's update of it.
        clipping: The update with clipping.
        adam: Adam's step, for the user, the movie, a popular and a rare movie.
        last_learning_rate: Learning rate of the training's last update.
    """

    user_id: str
    movie_id: str
    part: str
    vectors: dict[str, tuple[float, ...]]
    nudged: str
    prediction: Prediction
    start: dict[str, float]
    nudges: tuple[Nudge, ...]
    slopes: tuple[Slope, ...]
    curve: Curve
    update: Update
    clipping: Clipping
    adam: tuple[AdamStep, ...]
    last_learning_rate: float
