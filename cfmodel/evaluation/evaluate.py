"""Evaluation of a recommender on test ratings, next to the baselines."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cfmodel.baselines import popularity
from cfmodel.config import EvaluationSettings
from cfmodel.data.splitting.parts import RatingArrays
from cfmodel.errors import DivergedError
from cfmodel.evaluation.card import metric_card
from cfmodel.evaluation.metrics import EvaluationProgress, OnRecord, accuracy_metrics, ranking_metrics
from cfmodel.evaluation.new_users import folded_in_metrics, new_user_metrics
from cfmodel.evaluation.ranking import RankingTask, ranking_task
from cfmodel.evaluation.read_split import EvaluationRatings, check_ids, read_evaluation_ratings
from cfmodel.evaluation.slices import (
    ErrorByPopularity,
    PredictedAgainstTrue,
    error_by_popularity,
    predicted_against_true,
)
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef

__all__ = ["Evaluation", "EvaluationProgress", "evaluate"]

#: Default relevance threshold, as a position in the training range: 4 stars of 1 to 5.
_RELEVANT_FROM = 0.75


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Results of an evaluation, ready to be logged and drawn.

    Attributes:
        metrics: Values by key, all under `test/`; the metric card explains the keys.
        metric_card: The rules behind the metrics, in Markdown.
        predicted_against_true: Predictions by true rating, for a plot.
        error_by_popularity: Errors by popularity of the movie, for a plot.
        relevance_threshold: Lowest rating that counted as relevant, in rating units.
    """

    metrics: dict[str, float]
    metric_card: str
    predicted_against_true: PredictedAgainstTrue
    error_by_popularity: ErrorByPopularity
    relevance_threshold: float
    seconds: float


def evaluate(
    recommender: Recommender,
    split: SplitRef,
    settings: EvaluationSettings,
    *,
    trained_parts: Sequence[str] = ("train",),
    seen_parts: Sequence[str] = ("train", "val"),
    device: torch.device | None = None,
    on_record: OnRecord | None = None,
) -> Evaluation:
    """Evaluate a recommender and the baselines on every test row of a split.

    Args:
        recommender: The recommender to evaluate; its vocabularies decide which ids are cold.
        trained_parts: Parts the model was trained on, on which the baselines are fitted too.
        seen_parts: Parts whose movies are excluded from their users' lists.
        device: Device to compute on; None is the CPU.
        on_record: Takes an `EvaluationProgress` now and then.

    Raises:
        DataError: The test part is empty, or the model does not know nearly all of its ids.
        DigestError: A part differs from the split's digest.
        DivergedError: A prediction is not finite.
    """
    started = time.monotonic()
    report = on_record or (lambda _: None)
    recommender = recommender.on(device or torch.device("cpu"))
    ratings = read_evaluation_ratings(recommender, split, trained_parts=trained_parts, seen_parts=seen_parts)
    check_ids(recommender, split, ratings, max_unknown_fraction=settings.max_unknown_fraction)
    predictions = _predict(recommender, ratings.test)
    report(EvaluationProgress("predict", 1.0))

    task = _ranking_task(recommender, ratings, settings)
    counts = popularity(ratings.trained, len(recommender.movies))
    cold_users = ratings.user_ids.unknown
    metrics = accuracy_metrics(recommender, ratings, predictions)
    sampling: dict[str, Any] = {"limit": settings.ranking_users, "seed": settings.seed}
    metrics |= new_user_metrics(recommender, ratings.test, ratings.user_ids, **sampling)
    metrics |= folded_in_metrics(recommender, ratings.test, ratings.trained, **sampling)
    report(EvaluationProgress("fold in", 1.0))
    metrics |= ranking_metrics(recommender, task, ks=settings.k, counts=counts, cold_users=cold_users, on_record=report)
    if split.noise_floor is not None:
        metrics["test/noise_floor_rmse"] = split.noise_floor
        # The planted noise is normal: its mean absolute value is sqrt(2 / pi) of its standard deviation.
        metrics["test/noise_floor_mae"] = split.noise_floor * math.sqrt(2 / math.pi)
    return Evaluation(
        metrics=metrics,
        metric_card=metric_card(recommender, split, settings, ratings=ratings, task=task),
        predicted_against_true=predicted_against_true(
            ratings.test.rating, predictions, rating_min=recommender.rating_min, rating_max=recommender.rating_max
        ),
        error_by_popularity=error_by_popularity(ratings.test, predictions, counts=counts),
        relevance_threshold=task.threshold,
        seconds=time.monotonic() - started,
    )


def _predict(recommender: Recommender, test: RatingArrays) -> npt.NDArray[np.float64]:
    predictions = recommender.predict_rows(test.user_idx, test.movie_idx)
    broken = int((~np.isfinite(predictions)).sum())
    if broken:
        raise DivergedError(
            f"{broken:,} of {len(test):,} test predictions are not finite; the model has diverged: "
            "train again with a lower train.learning_rate"
        )
    return predictions


def _ranking_task(recommender: Recommender, ratings: EvaluationRatings, settings: EvaluationSettings) -> RankingTask:
    low, high = recommender.rating_min, recommender.rating_max
    threshold = settings.relevance_threshold
    return ranking_task(
        ratings.test,
        ratings.seen,
        movie_keys=ratings.movie_ids.keys(len(recommender.movies)),
        num_users=len(recommender.users),
        num_movies=len(recommender.movies),
        threshold=low + _RELEVANT_FROM * (high - low) if threshold is None else threshold,
        limit=settings.ranking_users,
        seed=settings.seed,
    )
