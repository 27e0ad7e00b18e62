"""Rules on the model's error on val, compared with the baselines."""

from cfmodel.gradients.health.rules.tables import carries_embeddings
from cfmodel.gradients.health.thresholds import Thresholds
from cfmodel.gradients.health.verdicts import Finding
from cfmodel.gradients.recording.gradient_history import GradientHistory
from cfmodel.gradients.recording.gradient_records import Outcome
from cfmodel.system.decimals import rmse_text


def no_signal_in_ratings(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Find ratings that not even biases in closed form can predict better than their mean."""
    outcome = run.outcome
    if outcome is None or outcome.damped_bias_rmse < limits.no_signal * outcome.global_mean_rmse:
        return None
    return no_signal(run, limits)


def no_signal(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Find a model that is no better than the global mean."""
    outcome = _measured(run, limits)
    if outcome is None or not outcome.global_mean_rmse > 0:
        return None
    ratio = outcome.best / outcome.global_mean_rmse
    if not ratio >= limits.no_signal:
        return None
    return Finding(
        "error",
        value=ratio,
        threshold=limits.no_signal,
        message=f"val RMSE {rmse_text(outcome.best)} is no better than the global mean's "
        f"{rmse_text(outcome.global_mean_rmse)}",
        first_step=_last_step(run),
    )


def embeddings_add_nothing(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Find embeddings that explain nothing on val beyond what biases explain."""
    outcome = _measured(run, limits)
    if outcome is None or not outcome.taste_score < limits.taste_score:
        return None
    could = run.reach is not None and run.reach >= limits.taste_reach and carries_embeddings(run, limits)
    return Finding(
        "warning" if could else "info",
        value=outcome.taste_score,
        threshold=limits.taste_score,
        message=f"on val, tastes explain nothing that biases leave over ({outcome.taste_score:.1f} standard errors "
        f"from zero); val RMSE {rmse_text(outcome.best)}, biases alone {rmse_text(outcome.damped_bias_rmse)}",
        first_step=_last_step(run),
    )


def behind_biases(run: GradientHistory, limits: Thresholds) -> Finding | None:
    """Find a model that is no better than biases alone, although its embeddings do explain something."""
    outcome = _measured(run, limits)
    if outcome is None or outcome.best < outcome.damped_bias_rmse or not outcome.damped_bias_rmse > 0:
        return None
    ratio = outcome.best / outcome.damped_bias_rmse
    return Finding(
        "warning" if ratio > limits.far_behind_biases else "info",
        value=ratio,
        threshold=1.0,
        message=f"val RMSE {rmse_text(outcome.best)} is no better than that of biases alone, "
        f"{rmse_text(outcome.damped_bias_rmse)}",
        first_step=_last_step(run),
    )


def _measured(run: GradientHistory, limits: Thresholds) -> Outcome | None:
    """Return the outcome if val is large enough for a verdict."""
    outcome = run.outcome
    enough = outcome is not None and outcome.val_rmse and outcome.val_rows >= limits.val_rows
    return outcome if enough else None


def _last_step(run: GradientHistory) -> int:
    return int(run.steps[-1]) if run.num_steps else 0
