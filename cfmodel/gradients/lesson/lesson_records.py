"""What goes into a lesson and what comes out: frozen records of plain numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Example:
    """One rating and the rows of the tables that predict it.

    Attributes:
        user_id: The user, as the source knows them.
        movie_id: The movie, likewise.
        rating: What the user gave, in rating units.
        part: Part of the split it is from.
        global_mean: Mean of the training ratings, in rating units.
        rows: The rows by table, the user's first, each of shape (width,).
        names: What a row of each table is called.
        vectors: Tables whose rows are vectors.
        penalized: Tables whose rows the loss's penalty includes.
        predict: Gives the prediction of rows, in rating units, a scalar.
        terms: Gives the terms of the prediction but the global mean, by name.
    """

    user_id: str
    movie_id: str
    rating: float
    part: str
    global_mean: float
    rows: Mapping[str, Tensor]
    names: Mapping[str, str]
    vectors: tuple[str, ...]
    penalized: tuple[str, ...]
    predict: Callable[[Mapping[str, Tensor]], Tensor]
    terms: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]

    @property
    def nudged(self) -> str:
        """The first table whose row is a single number: the parameter that the lesson follows."""
        return next(name for name in self.rows if name not in self.vectors)


@dataclass(frozen=True)
class NextStep:
    """One bias in the next batch that training would have put it in, and what Adam remembers of it.

    Attributes:
        who: Which row this is: `the user`, `the movie`, `a popular movie`, `a rare movie`.
        name: What it is called, such as `user_bias`.
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
    """A prediction as the sum of its terms, in rating units; error is rating less prediction."""

    global_mean: float
    terms: dict[str, float]
    prediction: float
    rating: float
    error: float


@dataclass(frozen=True)
class Nudge:
    """What a small change of the nudged parameter does to the error, in rating units."""

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
    """The loss of the rating along the nudged parameter, everything else as it is.

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
    """`new_value = old_value - learning_rate * gradient`, for the nudged parameter and this rating alone."""

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
        gradient: The nudged parameter's, after it.
        new_value: The nudged parameter after the update with it.
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
        vectors: The rows that are vectors, by name: tastes of the user, features of the movie.
        nudged: Name of the parameter that is changed: the first row that is a single number, `user_bias`.
        prediction: The sum and the error.
        nudges: That parameter up and down by a tenth.
        slopes: Of every row that is a single number, and of the steepest number of a vector.
        curve: The loss along that parameter.
        update: The textbook's update of it.
        clipping: What clipping would have changed in it.
        adam: What Adam does instead, for the user, the movie, a popular and a rare movie.
        last_learning_rate: The rate of the last update of training, where the schedule had brought it.
    """

    user_id: str
    movie_id: str
    part: str
    vectors: dict[str, tuple[float, ...]]
    nudged: str
    prediction: Prediction
    nudges: tuple[Nudge, ...]
    slopes: tuple[Slope, ...]
    curve: Curve
    update: Update
    clipping: Clipping
    adam: tuple[AdamStep, ...]
    last_learning_rate: float
