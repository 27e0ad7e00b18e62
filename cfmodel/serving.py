"""The loader of models logged to MLflow. Logged models name this module, so it must never be moved or renamed."""

from pathlib import Path

from cfmodel.recommending.mlflow_pyfunc import RecommenderService
from cfmodel.recommending.recommender import Recommender


def _load_pyfunc(path: str) -> RecommenderService:
    """Load a folder that `Recommender.save` wrote; MLflow calls this function by its name."""
    return RecommenderService(Recommender.load(Path(path)))
