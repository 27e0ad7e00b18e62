"""The result of a run in short: test errors beside those of the baselines, and the time of each step."""

from collections.abc import Mapping
from typing import Any

from cfmodel.system.decimals import decimals_of, rmse_text

#: Rows of the table of errors: name, and the metrics of its RMSE and MAE.
_ROWS = (
    ("model", "test/rmse", "test/mae"),
    ("damped biases", "test/damped_bias_rmse", "test/damped_bias_mae"),
    ("global mean", "test/global_mean_rmse", "test/global_mean_mae"),
    ("planted noise floor", "test/noise_floor_rmse", "test/noise_floor_mae"),
)


def accuracy_rows(metrics: Mapping[str, float]) -> list[dict[str, Any]]:
    """Return one row per measured predictor: name, test RMSE and test MAE in rating units."""
    return [
        {"predictor": name, "test RMSE": _rounded(metrics[rmse]), "test MAE": _rounded(metrics.get(mae))}
        for name, rmse, mae in _ROWS
        if rmse in metrics
    ]


def step_seconds(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds of each step of a run, in order."""
    names = ("ingest", "ingest-test", "split", "train", "evaluate", "report")
    return {name: metrics[f"time/{name}_seconds"] for name in names if f"time/{name}_seconds" in metrics}


def training_summary(metrics: Mapping[str, float]) -> str:
    """Return ratings, batch size, epochs and the best epoch on val, to follow the word "trained"."""
    best, rmse = metrics.get("best_epoch"), metrics.get("best_val_rmse")
    epochs, chosen = metrics["train/epochs"], ""
    if best is not None and rmse is not None:
        chosen = f", of which {best:.0f} was best (val RMSE {rmse_text(rmse)})"
        if best == 0:
            chosen = f", of which none was better than the start (val RMSE {rmse_text(rmse)})"
        elif best == epochs:
            chosen = (
                f", of which the last was best (val RMSE {rmse_text(rmse)}): with more train.epochs it may fall further"
            )
    return (
        f"on {metrics['train/ratings']:,.0f} ratings in batches of {metrics['train/batch_size']:,.0f} "
        f"for {epochs:.0f} epoch{'s' if epochs != 1 else ''}{chosen}"
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, decimals_of(value))
