"""The loader that models in MLflow name: this module keeps its place and its name as long as any of them is in use."""

from pathlib import Path

from cfmodel.recommending.mlflow_pyfunc import RecommenderService
from cfmodel.recommending.recommender import Recommender


def _load_pyfunc(path: str) -> RecommenderService:
    """Load what `Recommender.save` wrote; the name and the argument are MLflow's."""
    return RecommenderService(Recommender.load(Path(path)))
