"""Evaluation of a recommender on test ratings, next to baselines."""

from cfmodel.evaluation.evaluate import Evaluation

__all__ = ["Evaluation"]
