"""Catalogue of all rules, causes before consequences, each with its remedy."""

from collections.abc import Callable
from dataclasses import dataclass

from cfmodel.gradients.health.rules import beginning, outcome, steps, tables
from cfmodel.gradients.health.thresholds import Thresholds
from cfmodel.gradients.health.verdicts import Finding, Word
from cfmodel.gradients.recording.gradient_history import GradientHistory

_Check = Callable[[GradientHistory, Thresholds], Finding | None]


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        words: The textbook's words for it.
        early: Whether it works during training and may stop it.
        of_equal: Whether it holds where all ratings are equal. The start is exact there, and what training does from
            it is noise.
    """

    name: str
    check: _Check
    remedy: str
    words: tuple[Word, ...] = ()
    early: bool = False
    of_equal: bool = False


#: Causes come first: a later rule may find a consequence of what an earlier one finds.
RULES = (
    Rule(
        "non_finite",
        beginning.non_finite,
        "check the ratings of these ids for values that are not numbers or are far outside the scale; "
        "otherwise lower train.learning_rate tenfold",
        ("exploding",),
        early=True,
        of_equal=True,
    ),
    Rule(
        "initialisation_too_large",
        beginning.initialisation_too_large,
        "set train.init_std to 0.01: training has to unlearn this noise first",
        ("exploding",),
        early=True,
    ),
    Rule(
        "dead_table",
        beginning.dead_table,
        "start the embeddings at random (train.init_std above 0): if all embedding tables are zero, none ever "
        "gets a gradient",
        ("vanishing", "dead"),
        early=True,
    ),
    Rule(
        "frozen_table",
        beginning.frozen_table,
        "pass this table to the optimizer, and let it require a gradient",
        ("dead",),
        early=True,
    ),
    Rule(
        "learning_rate_too_high",
        steps.learning_rate_too_high,
        "lower train.learning_rate tenfold; `cfmodel find-lr` suggests one",
        ("exploding",),
        early=True,
    ),
    Rule(
        "outlier_labels",
        steps.outlier_labels,
        "check the ratings of these ids; set ingest.rating_range to refuse ratings outside the scale",
        ("exploding",),
    ),
    Rule(
        "loss_spike",
        steps.loss_spike,
        "check the ratings of this batch; if they are sound, lower train.learning_rate or train.max_grad_norm",
        ("exploding",),
    ),
    Rule(
        "learning_rate_too_low",
        steps.learning_rate_too_low,
        "raise train.learning_rate tenfold, or train.epochs; `cfmodel find-lr` suggests a rate",
        ("vanishing",),
    ),
    Rule(
        "dead_rows",
        beginning.dead_rows,
        "look for what stops their gradient: a mask, a padding row, a detached tensor",
        ("dead",),
    ),
    Rule(
        "id_coverage",
        beginning.id_coverage,
        "check how ids become rows: rows without ratings mean that ids collide or that the tables have too many rows",
        ("dead",),
        early=True,
        of_equal=True,
    ),
    Rule(
        "no_signal",
        outcome.no_signal_in_ratings,
        "check that each rating belongs to its user and movie: shuffled labels and wrong joins look like this",
    ),
    Rule(
        "cold_row_drift",
        tables.cold_row_drift,
        "remove weight decay from the optimizer: Adam turns it into a pull on every row at full speed; "
        "train.regularization affects only the rows of the batch",
        ("vanishing",),
        of_equal=True,
    ),
    Rule(
        "collapsed_embeddings",
        tables.collapsed_embeddings,
        "lower train.regularization, and use no weight decay in the optimizer",
        ("vanishing",),
    ),
    Rule(
        "mean_leak",
        tables.mean_leak,
        "subtract the mean rating before training, or initialize global_mean with it",
    ),
    Rule(
        "clipping",
        steps.clipping,
        "average the loss over the batch instead of summing it, or raise train.max_grad_norm",
        ("exploding",),
    ),
    Rule(
        "no_signal",
        outcome.no_signal,
        "train longer (train.epochs) or faster (train.learning_rate): biases alone would do better on these ratings",
    ),
    Rule(
        "embeddings_add_nothing",
        outcome.embeddings_add_nothing,
        "lower train.regularization or train longer; if that changes nothing, these ratings contain no tastes, "
        "and biases alone do as well",
    ),
    Rule(
        "embeddings_add_nothing",
        outcome.behind_biases,
        "train longer (train.epochs): the embeddings explain something, but biases in closed form are still ahead",
    ),
    Rule(
        "noise_floor",
        tables.noise_floor,
        "nothing is wrong: a larger train.batch_size or fewer train.epochs would do as well",
    ),
    Rule(
        "ghost_updates",
        tables.ghost_updates,
        "nothing is wrong: Adam over all rows keeps moving rows by momentum; gradients alone show less than half of it",
    ),
)
