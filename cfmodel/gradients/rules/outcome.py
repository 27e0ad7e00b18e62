"""Rules on what came out, on val and beside the floors."""

from cfmodel.gradients.history import GradientHistory, Outcome
from cfmodel.gradients.rules.tables import carries_embeddings
from cfmodel.gradients.thresholds import Thresholds
from cfmodel.gradients.verdicts import Finding


def no_signal_in_ratings(run: GradientHistory, outcome: Outcome | None, limits: Thresholds) -> Finding | None:
    """Find ratings that not even biases in closed form can say anything about."""
    if outcome is None or outcome.damped_bias_rmse < limits.no_signal * outcome.global_mean_rmse:
        return None
    return no_signal(run, outcome, limits)


def no_signal(run: GradientHistory, outcome: Outcome | None, limits: Thresholds) -> Finding | None:
    """Find a model that is no better than the global mean."""
    if outcome is None or not outcome.val_rmse or outcome.val_rows < limits.val_rows:
        return None
    ratio = outcome.best / outcome.global_mean_rmse if outcome.global_mean_rmse > 0 else 0.0
    if not ratio >= limits.no_signal:
        return None
    return Finding(
        "error",
        value=ratio,
        threshold=limits.no_signal,
        message=f"val RMSE {outcome.best:.4f} is no better than the global mean's {outcome.global_mean_rmse:.4f}",
        first_step=_last_step(run),
    )


def embeddings_add_nothing(run: GradientHistory, outcome: Outcome | None, limits: Thresholds) -> Finding | None:
    """Find a model that is no better than biases alone."""
    if outcome is None or not outcome.val_rmse or outcome.val_rows < limits.val_rows:
        return None
    ratio = outcome.best / outcome.damped_bias_rmse if outcome.damped_bias_rmse > 0 else 0.0
    if not ratio >= limits.adds_nothing:
        return None
    return Finding(
        "warning" if _have_no_weight(run, limits) and carries_embeddings(run, limits) else "info",
        value=ratio,
        threshold=limits.adds_nothing,
        message=f"val RMSE {outcome.best:.4f} is no better than biases alone reach, {outcome.damped_bias_rmse:.4f}",
        first_step=_last_step(run),
    )


def _have_no_weight(run: GradientHistory, limits: Thresholds) -> bool:
    if run.initial is None or not run.epochs or run.num_steps < limits.collapse_steps:
        return False
    return run.epochs[-1].dot_std < limits.adds_nothing_spread * run.initial.rating_std


def _last_step(run: GradientHistory) -> int:
    return int(run.steps[-1]) if run.num_steps else 0
