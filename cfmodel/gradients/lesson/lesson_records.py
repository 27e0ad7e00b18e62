"""What goes into a lesson and what comes out: frozen records of plain numbers."""

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
