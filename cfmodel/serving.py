"""The loader of models logged to MLflow. Logged models name this module, so it must never be moved or renamed."""

from pathlib import Path
from typing import Any

import pandas as pd

from cfmodel.errors import CFModelError
from cfmodel.recommending.mlflow_pyfunc import RecommenderService
from cfmodel.recommending.recommender import Recommender
from cfmodel.tracking.store import mlflow


class _Served(RecommenderService):
    """A recommender whose refusals reach MLflow's callers in our words."""

    def predict(self, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Answer as `RecommenderService` does.

        Raises:
            MlflowException: The request is refused; over HTTP with status 400 and without a stack trace.
        """
        try:
            return super().predict(model_input, params)
        except CFModelError as refusal:
            try:
                of_mlflow = mlflow().exceptions.MlflowException
            except ImportError:  # called without MLflow
                raise refusal from None
            raise of_mlflow.invalid_parameter_value(str(refusal)) from None


def _load_pyfunc(path: str) -> RecommenderService:
    """Load a folder that `Recommender.save` wrote; MLflow calls this function by its name."""
    return _Served(Recommender.load(Path(path)))
