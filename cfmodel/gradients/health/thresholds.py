"""Thresholds of the health rules, each with its reason.

`docs/health.md` shows the benchmark they were chosen with and how well they work. All are ratios or
counts, so none depends on the scale of the ratings.
"""

import hashlib
import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Thresholds:
    """What the rules compare their measurements with.

    Attributes:
        initial_spread: Standard deviation of the initial predictions over that of the ratings above which the
            initialization is too large. At 0.4 the val RMSE after four epochs was 7 to 14 % higher, at 0.07 3 to 6 %.
        initial_error: Squared error of the first batch over the variance of the ratings below which the model was
            trained before and is not random.
        initial_spread_error: Spread above which it is an error: noise outweighs the ratings.
        dead_steps: Steps with a gradient of exactly zero after which a table is dead.
        frozen_samples: Sampled steps in a row, up to the last, in which a table with a gradient did not move.
        dead_row_fraction: Share of a table's rows that may be dead. In any sound run a row touched five times has a
            gradient, so this is as low as counting allows.
        dead_row_fraction_error: Share above which it is an error.
        coverage: Share of the declared rows that must have a rating. All of them have one if the vocabulary is made
            from the ratings.
        coverage_error: Share below which it is an error.
        rising_error: Median squared error of a stretch of steps over that of the untrained model above which the
            learning rate is too high: training did harm.
        rising_steps: Steps in such a stretch.
        reach: Sum of the learning rate over all steps, over the standard deviation of the ratings, below which the
            rate is too low. Adam moves a weight by at most about the learning rate per step, so this is how far a
            bias can move, in standard deviations of the ratings, if all steps agree.
        reach_steps: Fewest steps for that rule: a very short run cannot get anywhere.
        reach_progress: Share of the initial mean squared error that must remain at the end for that rule.
        clip_fraction: Share of clipped steps worth mentioning. Clipping alone does no harm under Adam, which ignores
            a constant factor: with `max_grad_norm` 0.001 runs were as good as with 1.
        clip_warm_up: First steps that do not count for that: they may be clipped in a sound run.
        loss_scale: Gradient norm over the root mean square norm of single ratings' gradients above which the loss is
            summed or multiplied. The norm of a mean is at most the mean of the norms: 1.
        outlier_error: Largest error, over the standard deviation that the median error of the first epoch implies
            for a normal distribution, above which a label is an outlier. In a normal distribution one value in 10^15
            is above 8; sound runs reached 6.
        spike: Mean squared error of a step over its epoch's median above which the loss spikes. Batches of 32 sound
            ratings reached 2, batches of 8 reached 5.
        spike_warm_up: First steps that do not count for that.
        mean_leak: Share of an embedding table's squared norm that may be one vector shared by all rows.
        mean_left: Squared error of the first batch over that of an untrained model that knows the mean, above which
            a mean was left to learn.
        collapse: Standard deviation of the dot products at the end over that at random initialization, below which
            the embeddings have collapsed: they say less than the noise they started as.
        collapse_steps: Fewest steps for that rule.
        rank: Effective rank of an embedding table below which it has a single direction.
        ratings_per_row: Ratings per row of all embedding tables below which the data cannot support embeddings, so
            that their absence is no fault.
        no_signal: Best val RMSE over that of the global mean, from which on nothing was learned.
        far_behind_biases: The same over that of damped biases, from which on it is a warning: biases in closed form,
            where training starts, are within 1 % of damped ones.
        taste_score: Correlation on val of tastes with the residuals of the biases, in standard errors, below which
            embeddings add nothing. Noise is never above 5; sound runs were at 13 and more.
        taste_reach: Reach, as above, from which on training had enough time to find tastes.
        val_rows: Fewest val ratings for a verdict on val RMSE.
        cold_drift: How far rows without a rating may move, over their norm. Without decay it is exactly 0.
        ghost_share: Share of the squared movement on rows without a gradient worth mentioning.
        noise_epochs: Epochs in a row whose gradient is smaller than its noise before that is mentioned.
    """

    initial_spread: float = 0.25
    initial_error: float = 0.9
    initial_spread_error: float = 1.0
    dead_steps: int = 20
    frozen_samples: int = 2
    dead_row_fraction: float = 0.001
    dead_row_fraction_error: float = 0.1
    coverage: float = 0.9
    coverage_error: float = 0.5
    rising_error: float = 1.5
    rising_steps: int = 50
    reach: float = 0.1
    reach_steps: int = 200
    reach_progress: float = 0.95
    clip_fraction: float = 0.5
    clip_warm_up: int = 50
    loss_scale: float = 1.5
    outlier_error: float = 8.0
    spike: float = 20.0
    spike_warm_up: int = 5
    mean_leak: float = 0.5
    mean_left: float = 1.5
    collapse: float = 0.5
    collapse_steps: int = 200
    rank: float = 1.01
    ratings_per_row: float = 5.0
    no_signal: float = 0.99
    far_behind_biases: float = 1.05
    taste_score: float = 5.0
    taste_reach: float = 1.0
    val_rows: int = 200
    cold_drift: float = 0.01
    ghost_share: float = 0.5
    noise_epochs: int = 2

    def digest(self) -> str:
        """Return 16 hexadecimal digits that change with any threshold."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]
