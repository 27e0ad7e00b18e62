"""Hold a recommender against the test ratings and the floors."""

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
from cfmodel.evaluation.ranking import Task, ranking_task
from cfmodel.evaluation.read_split import EvaluationRatings, check_ids, read_ratings
from cfmodel.evaluation.slices import (
    ErrorByPopularity,
    PredictedAgainstTrue,
    error_by_popularity,
    predicted_against_true,
)
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef

__all__ = ["Evaluation", "EvaluationProgress", "evaluate"]

#: Where the threshold is not given, this share of the way up the training range: 4 stars of 1 to 5.
RELEVANT_FROM = 0.75


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What came out, ready to be logged and drawn.

    Attributes:
        metrics: Value by key, all under `test/`; the keys are explained in the metric card.
        metric_card: The rules behind the metrics, Markdown.
        predicted_against_true: Predictions by true rating, for a plot.
        error_by_popularity: Errors by popularity of the movie, for a plot.
        relevance_threshold: Lowest rating that counted as relevant, in rating units.
        seconds: How long the evaluation took.
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
    """Measure a recommender on every test row of a split, beside the floors.

    Args:
        recommender: What is evaluated; its vocabularies decide who is cold.
        split: Whose test part is predicted.
        settings: Lengths of the lists, relevance, limits.
        trained_parts: Parts the model was trained on; the floors are fitted on the same.
        seen_parts: Parts whose movies are left out of their user's list.
        device: Where to compute; None is the CPU.
        on_record: Takes an `EvaluationProgress` now and then.

    Raises:
        DataError: The test part is empty, or nearly all of its ids are of a kind unknown to the model.
        DigestError: A part is not the one the split names.
        DivergedError: A prediction is not finite.
    """
    started = time.monotonic()
    tell = on_record or (lambda _: None)
    recommender = recommender.on(device or torch.device("cpu"))
    ratings = read_ratings(recommender, split, trained_parts=trained_parts, seen_parts=seen_parts)
    check_ids(recommender, split, ratings, max_unknown_fraction=settings.max_unknown_fraction)
    predictions = _predict(recommender, ratings.test)
    tell(EvaluationProgress("predict", 1.0))

    task = _ranking_task(recommender, ratings, settings)
    counts = popularity(ratings.trained, len(recommender.movies))
    cold_users = ratings.user_ids.unknown
    metrics = accuracy_metrics(recommender, ratings, predictions)
    drawn: dict[str, Any] = {"limit": settings.ranking_users, "seed": settings.seed}
    metrics |= new_user_metrics(recommender, ratings.test, ratings.user_ids, **drawn)
    metrics |= folded_in_metrics(recommender, ratings.test, ratings.trained, **drawn)
    tell(EvaluationProgress("fold in", 1.0))
    metrics |= ranking_metrics(recommender, task, ks=settings.k, counts=counts, cold_users=cold_users, tell=tell)
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


def _predict(recommender: Recommender, test: RatingArrays) -> npt.NDArray[np.float32]:
    predictions = recommender.predict_rows(test.user_idx, test.movie_idx)
    lost = int((~np.isfinite(predictions)).sum())
    if lost:
        raise DivergedError(
            f"{lost:,} of {len(test):,} test predictions are not finite; the model has diverged: "
            "train again with a lower train.learning_rate"
        )
    return predictions


def _ranking_task(recommender: Recommender, ratings: EvaluationRatings, settings: EvaluationSettings) -> Task:
    low, high = recommender.rating_min, recommender.rating_max
    threshold = settings.relevance_threshold
    return ranking_task(
        ratings.test,
        ratings.seen,
        movie_keys=ratings.movie_ids.keys(len(recommender.movies)),
        num_users=len(recommender.users),
        num_movies=len(recommender.movies),
        threshold=low + RELEVANT_FROM * (high - low) if threshold is None else threshold,
        limit=settings.ranking_users,
        seed=settings.seed,
    )
