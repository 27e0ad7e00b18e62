"""What the monitor saw: frozen records of names, plain numbers and NumPy arrays on the host.

    before step 0        InitialRecord
    every step           StepBlock, one an epoch with an entry a step
    every K-th step      StepSample
    every epoch          EpochGradients
    at the end           MonitorCost, Outcome

Steps are counted from 1 since the phase began: step s is the s-th update. Tables are named as the
model names them; a row number becomes an id only at the edge, through the recommender's vocabularies.
Gradients are those of the whole loss before clipping, unless said otherwise.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: Names of the tables, in the order the model declares them.
TABLES = ("user_embeddings", "user_biases", "movie_embeddings", "movie_biases")

#: Tables whose rows are vectors: those with an effective rank and a mean leak.
EMBEDDINGS = ("user_embeddings", "movie_embeddings")

#: What quantiles in these records are taken at.
QUANTILES = (0.05, 0.25, 0.50, 0.75, 0.95)


@dataclass(frozen=True, eq=False)
class InitialRecord:
    """The model before its first update.

    Attributes:
        phase: `fit` or `refit`.
        prediction_std: Standard deviation of the initial predictions, in rating units, over at most
            1,024 training ratings evenly spaced.
        rating_std: Standard deviation of all training ratings, in rating units.
        rating_min: Lowest training rating, in rating units.
        rating_max: Highest training rating, in rating units.
        num_ratings: Training ratings.
        batch_size: Ratings in a step.
        learning_rate: Adam's step size at the start, as set.
        max_grad_norm: Norm above which gradients are scaled down.
        regularization: Weight of the penalty.
        planned_steps: Updates this phase will make if nothing stops it.
        rows: Declared rows of each table, by table.
        cold_rows: Rows of each table without a training rating, by table.
        ratings_by_decile: Share of the training ratings that falls on each tenth of the rows by
            popularity, rarest first, by table, shape (10,): what `energy_by_decile` compares with.
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


@dataclass(frozen=True, eq=False)
class StepBlock:
    """Every step of one epoch; arrays of shape (S,), S the steps, in order.

    Made before the epoch is checked for numbers that are not finite, so that it shows them.

    Attributes:
        phase: `fit` or `refit`.
        epoch: Number of the epoch, from 1.
        first_step: Step of the first entry.
        loss: Loss of each batch before its update, penalty included.
        mean_squared_error: Its data term, in rating units squared.
        largest_error: Largest absolute error in the batch, in rating units; NaN if an error is.
        largest_error_user: Row of the user tables of the rating with that error.
        largest_error_movie: Row of the movie tables of that rating.
        grad_norms: L2 norm of each table's gradient before clipping, by table.
        total_norm: The same over all tables together.
        clip_coefficient: What the gradients were multiplied by; below 1 where they were clipped.
        rows_touched: Rows of each table that the batch looked up, each counted once, by table; -1 in
            epochs the budget leaves out, those without `EpochGradients`.
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
        rows_touched: How many rows that is.
        zeros: Elements of the touched rows' gradients that are exactly zero.
        denormals: Those that are not zero, but below the smallest normal float32.
        infinities: Those that are infinite.
        nans: Those that are not a number.
        structural_zero_fraction: Share of the table's rows that the batch did not look up, whose
            gradient is zero by construction and in no histogram.
        update_to_weight: Norm of the update over norm of the weights before it, on the touched rows;
            infinite where those weights are all zero.
        adam_step: Mean absolute update of the touched rows' elements, in units of the learning rate;
            Adam's is at most about 1.
        ghost_share: Share of the squared movement of the whole table that happened on rows without a
            gradient; 0 where nothing moved.
        update_norm: L2 norm of the update of the whole table, in weight units.
        energy_by_decile: Share of the squared gradient norm on each tenth of the rated rows by
            popularity, rarest first, shape (10,); all 0 where the gradient is 0.
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
    """One step looked at closely.

    The per-sample gradient norm is that of the data term alone, the squared error of one rating,
    with the penalty left out:

        |g|^2 = 4 e^2 (|p|^2 + |q|^2 + 2)

    with error e, user embedding p, movie embedding q, and 2 for the two biases.

    Attributes:
        phase: `fit` or `refit`.
        epoch: Number of the epoch, from 1.
        step: Number of the update, from 1.
        batch_size: Ratings in the batch, B.
        learning_rate: Step size of this update.
        tables: What each table saw, by table.
        per_sample_norm: Quantiles of the B per-sample gradient norms at `QUANTILES`, shape (5,).
        per_sample_norm_max: The largest of them.
        noise_trace: Unbiased estimate of the trace of the per-sample gradients' covariance, the
            noise of a single rating: B / (B - 1) * (mean |g|^2 - |mean g|^2).
        signal_square: Unbiased estimate of the squared norm of the gradient over all ratings:
            (B |mean g|^2 - mean |g|^2) / (B - 1). Below zero where noise hides it.
        noise_scale: `noise_trace / signal_square`, in ratings: the batch size at which noise and
            signal are equal; infinite where `signal_square` is not positive, NaN for a batch of 1.
            One step says little: average both parts over steps before dividing.

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
        dead_rows: Rows touched at least 5 times since the phase began whose every gradient so far was
            exactly zero.
        dead_row_examples: Up to 5 of their row numbers, lowest first.
        frozen: Whether no row moved during the epoch, although the table had a gradient.
        cold_rows: Rows without a training rating.
        cold_drift: Norm of how far the cold rows have moved since they were drawn, over their norm
            then; 0 without cold rows, infinite where they were zero and moved.
        cold_norm_ratio: Their norm now over their norm then: below 1 where decay erases them; 1 without.
        cold_row_examples: Up to 5 of their row numbers, lowest first.
        row_norm_quantiles: Quantiles of all rows' L2 norms at `QUANTILES`, shape (5,).
        effective_rank: exp of the entropy of the singular values scaled to sum 1; from 1 to the
            embedding dimension. None for biases; NaN where the table is zero or not finite.
        mean_leak: Squared norm of the mean row over the mean squared norm of the rows, from 0 to 1:
            how much of the table is one vector that every row shares. None for biases; NaN likewise.
        id_coverage: Share of the declared rows that were ever touched.

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
    """The tables at the end of an epoch; of every epoch, or of those the budget allows.

    Attributes:
        phase: `fit` or `refit`.
        epoch: Number of the epoch, from 1.
        step: Updates done since the phase began.
        tables: What each table looks like, by table.
        prediction_std: Standard deviation of the predictions, in rating units, over the same ratings
            as `InitialRecord.prediction_std`.
        dot_std: The same of the dot products of the embeddings alone.
    """

    phase: str
    epoch: int
    step: int
    tables: dict[str, TableHealth]
    prediction_std: float
    dot_std: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a trained model did on val, beside the floors it must beat there.

    The taste part of a prediction is <p - mean p, q - mean q>, the means over the training ratings:
    what no bias could say.

    Attributes:
        phase: `fit` or `refit`.
        val_rmse: RMSE on val after each epoch, predictions clamped, in rating units.
        val_rows: Ratings in val.
        global_mean_rmse: RMSE on val of predicting the mean of the training ratings.
        damped_bias_rmse: RMSE on val of damped biases, clamped likewise.
        taste_score: Correlation on val, where both sides are warm, of the taste part with what the rest
            of the prediction leaves over, in standard errors: about normal with spread 1 where tastes
            are noise. 0 where the taste part is constant.
    """

    phase: str
    val_rmse: tuple[float, ...]
    val_rows: int
    global_mean_rmse: float
    damped_bias_rmse: float
    taste_score: float

    @property
    def best(self) -> float:
        """The lowest RMSE on val."""
        return min(self.val_rmse)


@dataclass(frozen=True, eq=False)
class MonitorCost:
    """What watching cost, measured by the monitor itself.

    Attributes:
        phase: `fit` or `refit`.
        seconds: Time spent recording, epoch blocks included: the training thread's processor time on
            the CPU, the host's part of it on the wall elsewhere. Keeping a step's errors is timed
            once in 16 steps and counted 16 times: reading the clock takes about as long.
        training_seconds: Time spent on the epochs' updates on the same clock, recording not included.
        overhead_fraction: `seconds / training_seconds`.
        sample_every: K: the multiples of K were sampled, steps 1, 4 and 16, and the last step of epochs
            1, 2, 4, 8, ... and of the last one planned.
        epoch_every: E: `EpochGradients` were made after the multiples of E, the first two epochs and
            the last; 1 unless the budget does not allow it.
        samples: Steps sampled.
    """

    phase: str
    seconds: float
    training_seconds: float
    overhead_fraction: float
    sample_every: int
    epoch_every: int
    samples: int


#: Everything the monitor hands on.
GradientRecord = InitialRecord | StepBlock | StepSample | EpochGradients | Outcome | MonitorCost
