"""All rules, causes before consequences, each with what to do about it."""

from collections.abc import Callable
from dataclasses import dataclass

from cfmodel.gradients.health.rules import beginning, outcome, steps, tables
from cfmodel.gradients.health.thresholds import Thresholds
from cfmodel.gradients.health.verdicts import Finding, Word
from cfmodel.gradients.recording.gradient_history import GradientHistory

Check = Callable[[GradientHistory, Thresholds], Finding | None]


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        name: What the verdict is called.
        check: Looks for it.
        remedy: What a person can do about it.
        words: What the textbook calls it.
        early: Whether it can be told while training goes on, so that it may stop it.
    """

    name: str
    check: Check
    remedy: str
    words: tuple[Word, ...] = ()
    early: bool = False


#: In the order of causes: what comes later may follow from what comes earlier.
RULES = (
    Rule(
        "non_finite",
        beginning.non_finite,
        "check the ratings of these ids for values that are no number or far outside the scale; "
        "else lower train.learning_rate tenfold",
        ("exploding",),
        early=True,
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
        "give embeddings a random start (train.init_std above 0): with both tables at zero each waits for the "
        "other for ever",
        ("vanishing", "dead"),
        early=True,
    ),
    Rule(
        "frozen_table",
        beginning.frozen_table,
        "hand this table to the optimiser and let it require a gradient",
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
        "look at the ratings of these ids; set ingest.rating_range to refuse what is outside the scale",
        ("exploding",),
    ),
    Rule(
        "loss_spike",
        steps.loss_spike,
        "look at what was in this batch; if nothing is wrong with it, lower train.learning_rate or train.max_grad_norm",
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
        "check how ids become rows: rows without ratings mean that ids collide or that tables are too long",
        ("dead",),
        early=True,
    ),
    Rule(
        "no_signal",
        outcome.no_signal_in_ratings,
        "check that ratings stand beside the right users and movies: shuffled labels and wrong joins look like this",
    ),
    Rule(
        "cold_row_drift",
        tables.cold_row_drift,
        "take weight decay out of the optimiser: Adam turns it into a pull on every row at full speed; "
        "train.regularization holds back the rows of the batch alone",
        ("vanishing",),
    ),
    Rule(
        "collapsed_embeddings",
        tables.collapsed_embeddings,
        "lower train.regularization, and use no weight decay in the optimiser",
        ("vanishing",),
    ),
    Rule(
        "mean_leak",
        tables.mean_leak,
        "subtract the mean rating before training, or start global_mean from it",
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
        "lower train.regularization or train longer; if that changes nothing, these ratings hold no tastes, "
        "and biases alone serve as well",
    ),
    Rule(
        "embeddings_add_nothing",
        outcome.behind_biases,
        "train longer (train.epochs): tastes are there, and biases in closed form are still ahead",
    ),
    Rule(
        "noise_floor",
        tables.noise_floor,
        "nothing is wrong: a larger train.batch_size or fewer train.epochs would do as well",
    ),
    Rule(
        "ghost_updates",
        tables.ghost_updates,
        "nothing is wrong: dense Adam moves rows on by momentum; gradients alone show less than half of what moves",
    ),
)
