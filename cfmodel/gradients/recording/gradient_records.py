"""Frozen records of what the monitor measured: names, plain numbers and NumPy arrays on the host.

    before step 0        InitialRecord
    every step           StepBlock, one per epoch with an entry per step
    every K-th step      StepSample
    every epoch          EpochGradients
    at the end           MonitorCost, Outcome

A phase is `fit` or `refit`. Epochs and steps are numbered from 1 in each phase: step s is the s-th update. The
records name the tables, and every mapping by table has the order in which the model declares them. A row number
becomes an id only where it is displayed, through the recommender's vocabularies. Gradients are those of the whole
loss, before clipping, unless stated otherwise.
"""

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: Shares at which the quantiles in these records are taken.
QUANTILES = (0.05, 0.25, 0.50, 0.75, 0.95)


@dataclass(frozen=True, eq=False)
class InitialRecord:
    """The model before its first update.

    Attributes:
        prediction_std: Standard deviation of the initial dot products, the random part of the predictions, over at most
            1,024 training ratings evenly spaced.
        rating_std: Standard deviation of the standardized training ratings: 1, or 0 where all are equal.
        rating_min: Lowest standardized training rating.
        rating_max: Highest standardized training rating.
        num_ratings: Training ratings.
        batch_size: Ratings in a step.
        learning_rate: Adam's step size at the start, as configured.
        max_grad_norm: Norm above which gradients are scaled down.
        regularization: Weight of the penalty.
        planned_steps: Updates this phase will make unless it stops early.
        rows: Declared rows of each table, by table.
        cold_rows: Rows of each table without a training rating, by table.
        ratings_by_decile: Share of the training ratings on each tenth of the rows by popularity, rarest
            first, by table, shape (10,): what to compare `energy_by_decile` with.
        sides: What a row of each table stands for, such as `user`, by table. A table that is not in it has
            the side that its name begins with, up to the first underscore.
    """

    phase: str
    prediction_std: float
    rating_std: float
    rating_min: float
    rating_max: float
    num_ratings: int
    batch_size: int
    learning_rate: float
    max_grad_norm: float
    regularization: float
    planned_steps: int
    rows: dict[str, int]
    cold_rows: dict[str, int]
    ratings_by_decile: dict[str, Floats]
    sides: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class StepBlock:
    """Every step of one epoch; arrays of shape (S,), S the steps, in order.

    It is recorded before the epoch is checked for numbers that are not finite, so it can hold them.

    Attributes:
        first_step: Step of the first entry.
        loss: Loss of each batch before its update, penalty included.
        mean_squared_error: The loss without the penalty, as a share of the ratings' variance.
        largest_error: Largest absolute error in the batch, in standard deviations of the ratings; NaN if any is NaN.
        largest_error_user: Row of the rating with that error in the tables of the side `user`.
        largest_error_movie: Row of that rating in the tables of the side `movie`.
        grad_norms: L2 norm of each table's gradient before clipping, by table.
        total_norm: The same over all tables together.
        clip_coefficient: Factor by which the gradients were multiplied; below 1 if they were clipped.
        rows_touched: Distinct rows of each table that the batch looked up, by table; -1 in epochs that the
            budget leaves out, which have no `EpochGradients` either.
        finite: Whether loss, errors and norms are all finite.
    """

    phase: str
    epoch: int
    first_step: int
    loss: Floats
    mean_squared_error: Floats
    largest_error: Floats
    largest_error_user: Counts
    largest_error_movie: Counts
    grad_norms: dict[str, Floats]
    total_norm: Floats
    clip_coefficient: Floats
    rows_touched: dict[str, Counts]
    finite: Flags


@dataclass(frozen=True, eq=False)
class TableSample:
    """One table at one sampled step. Touched rows are those the batch looked up.

    Attributes:
        gradient_counts: Elements of the touched rows' gradients by bucket (see `buckets`), shape (512,).
        row_norm_counts: L2 norms of the touched rows' gradients by bucket, shape (512,).
        rows_touched: Number of touched rows.
        zeros: Elements of the touched rows' gradients that are exactly zero.
        denormals: Elements that are not zero, but smaller than the smallest normal float32.
        infinities: Elements that are infinite.
        nans: Elements that are NaN.
        structural_zero_fraction: Share of the table's rows that the batch did not look up, whose
            gradient is zero by construction and in no histogram.
        update_to_weight: Norm of the update over norm of the weights before it, on the touched rows;
            infinite if those weights are all zero.
        adam_step: Mean absolute update of the touched rows' elements, in units of the learning rate;
            Adam's is at most about 1.
        ghost_share: Share of the table's squared movement that happened on rows without a gradient; 0 if
            nothing moved.
        update_norm: L2 norm of the update of the whole table, in weight units.
        energy_by_decile: Share of the squared gradient norm on each tenth of the rated rows by
            popularity, rarest first, shape (10,); all 0 if the gradient is 0.
    """

    gradient_counts: Counts
    row_norm_counts: Counts
    rows_touched: int
    zeros: int
    denormals: int
    infinities: int
    nans: int
    structural_zero_fraction: float
    update_to_weight: float
    adam_step: float
    ghost_share: float
    update_norm: float
    energy_by_decile: Floats


@dataclass(frozen=True, eq=False)
class StepSample:
    """One sampled step.

    A per-sample gradient g is that of the squared error of a single rating, without the penalty, over all tables.

    Attributes:
        step: Number of the update, from 1.
        batch_size: Ratings in the batch, B.
        learning_rate: Step size of this update.
        tables: Measurements of each table, by table.
        per_sample_norm: Quantiles of the B per-sample gradient norms at `QUANTILES`, shape (5,).
        per_sample_norm_max: The largest of those norms.
        noise_trace: Unbiased estimate of the trace of the per-sample gradients' covariance, the
            noise of a single rating: B / (B - 1) * (mean |g|^2 - |mean g|^2).
        signal_square: Unbiased estimate of the squared norm of the gradient over all ratings:
            (B |mean g|^2 - mean |g|^2) / (B - 1). Negative if noise hides it.
        noise_scale: `noise_trace / signal_square`, in ratings: the batch size at which noise and
            signal are equal; infinite if `signal_square` is not positive, NaN for a batch of 1.
            A single step is noisy: average both parts over steps before dividing.

    Source: McCandlish et al., "An Empirical Model of Large-Batch Training" (2018), appendix A.1.
    """

    phase: str
    epoch: int
    step: int
    batch_size: int
    learning_rate: float
    tables: dict[str, TableSample]
    per_sample_norm: Floats
    per_sample_norm_max: float
    noise_trace: float
    signal_square: float
    noise_scale: float


@dataclass(frozen=True, eq=False)
class TableHealth:
    """One table at the end of an epoch.

    Attributes:
        rows: Declared rows.
        dead_rows: Rows touched at least 5 times in the phase whose gradient was exactly zero every time.
        dead_row_examples: Up to 5 of their row numbers, lowest first.
        frozen: Whether no row moved in the epoch, although the table had a gradient.
        cold_rows: Rows without a training rating.
        cold_drift: Norm of the cold rows' movement since initialization over their norm then; 0 without
            cold rows, infinite if they were zero and moved.
        cold_norm_ratio: Their norm now over their norm then, below 1 if decay shrinks them; 1 without cold rows.
        cold_row_examples: Up to 5 of their row numbers, lowest first.
        row_norm_quantiles: Quantiles of all rows' L2 norms at `QUANTILES`, shape (5,).
        effective_rank: exp of the entropy of the singular values scaled to sum 1; from 1 to the number of
            columns. None for a table whose rows are single numbers; NaN if it is zero or not finite.
        mean_leak: Squared norm of the mean row over the mean squared norm of the rows, from 0 to 1:
            how much of the table is one vector shared by all rows. None and NaN as above.
        id_coverage: Share of the declared rows that were touched at least once.

    Source: effective rank: Roy & Vetterli, "The effective rank" (2007).
    """

    rows: int
    dead_rows: int
    dead_row_examples: tuple[int, ...]
    frozen: bool
    cold_rows: int
    cold_drift: float
    cold_norm_ratio: float
    cold_row_examples: tuple[int, ...]
    row_norm_quantiles: Floats
    effective_rank: float | None
    mean_leak: float | None
    id_coverage: float


@dataclass(frozen=True, eq=False)
class EpochGradients:
    """The tables at the end of an epoch, for every epoch that the budget allows.

    Attributes:
        step: Updates done in this phase.
        tables: State of each table, by table.
        prediction_std: Standard deviation of the scores, in those of the ratings, over the same ratings
            as `InitialRecord.prediction_std`.
        dot_std: The same for the dot products of the embeddings alone.
    """

    phase: str
    epoch: int
    step: int
    tables: dict[str, TableHealth]
    prediction_std: float
    dot_std: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """A trained model's error on val, next to the baselines it must beat there.

    The taste part of a prediction is what no bias can express: the dot product of its embeddings, each less its
    mean over the training ratings.

    Attributes:
        val_rmse: RMSE on val after each epoch, predictions clamped, in rating units.
        val_rows: Ratings in val.
        start_rmse: RMSE on val of the initial weights, clamped as well; infinite up to version 0.2.0.
        global_mean_rmse: RMSE on val of predicting the mean of the training ratings.
        damped_bias_rmse: RMSE on val of damped biases, clamped as well.
        taste_score: Correlation of the taste part with the residual of the rest of the prediction, in standard
            errors, over the val ratings whose user and movie are in training. About normal with spread 1 if
            tastes are noise; 0 if the taste part is constant.
    """

    phase: str
    val_rmse: tuple[float, ...]
    val_rows: int
    global_mean_rmse: float
    damped_bias_rmse: float
    taste_score: float
    start_rmse: float = math.inf

    @property
    def best(self) -> float:
        """Lowest RMSE on val."""
        return min(self.start_rmse, *self.val_rmse)


@dataclass(frozen=True, eq=False)
class MonitorCost:
    """The cost of monitoring, measured by the monitor itself.

    Attributes:
        seconds: Time spent on recording, epoch blocks included: processor time of the training thread on the
            CPU, wall time of the host's part elsewhere. Keeping a step's errors is timed at one step in 16 and
            counted 16 times, since reading the clock takes about as long.
        training_seconds: Time spent on the updates by the same clock, without recording.
        overhead_fraction: `seconds / training_seconds`.
        sample_every: K. Every K-th step was sampled, also steps 1, 4 and 16, and the last step of epochs
            1, 2, 4, 8, ... and of the last planned epoch.
        epoch_every: E. `EpochGradients` were made after every E-th epoch, the first two and the last; 1 if
            the budget allows it.
        samples: Number of sampled steps.
    """

    phase: str
    seconds: float
    training_seconds: float
    overhead_fraction: float
    sample_every: int
    epoch_every: int
    samples: int


#: Every kind of record that the monitor makes.
GradientRecord = InitialRecord | StepBlock | StepSample | EpochGradients | Outcome | MonitorCost
