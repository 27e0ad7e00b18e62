"""What a recommender is worth on ratings it has not seen."""

from cfmodel.evaluation.evaluate import Evaluation

__all__ = ["Evaluation"]
