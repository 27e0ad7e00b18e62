"""The numbers of an evaluation under the keys they are logged by."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cfmodel.evaluation.accuracy import Accuracy
from cfmodel.evaluation.baseline_errors import floor_metrics, floor_predictions, lift
from cfmodel.evaluation.ranking import Task, rank
from cfmodel.evaluation.read_split import EvaluationRatings
from cfmodel.evaluation.slices import warmth_metrics
from cfmodel.recommending.recommender import Recommender
from cfmodel.recommending.top_k import catalogue_scores, popularity_scores


@dataclass(frozen=True)
class EvaluationProgress:
    """How far an evaluation has come, for progress bars.

    Attributes:
        stage: What is under way: `predict`, `fold in`, `rank model` or `rank popularity`.
        fraction: Share of that stage done, 0 to 1.
    """

    stage: str
    fraction: float


#: Takes every record as it is made; `list.append` is one.
OnRecord = Callable[[EvaluationProgress], None]


def accuracy_metrics(
    recommender: Recommender, ratings: EvaluationRatings, predictions: npt.NDArray[np.float32]
) -> dict[str, float]:
    """Return rows, RMSE and MAE over all rows and by warmth, then the floors' and the lifts over them."""
    test = ratings.test
    floors = floor_predictions(
        ratings.trained,
        test,
        num_users=len(recommender.users),
        num_movies=len(recommender.movies),
        rating_min=recommender.rating_min,
        rating_max=recommender.rating_max,
    )
    metrics = Accuracy.of(predictions, test.rating).metrics() | warmth_metrics(test, predictions)
    return metrics | floor_metrics(metrics["test/rmse"], floors, test.rating)


def ranking_metrics(
    recommender: Recommender,
    task: Task,
    *,
    ks: Sequence[int],
    counts: npt.NDArray[np.int64],
    cold_users: int,
    tell: OnRecord,
) -> dict[str, float]:
    """Return who was measured, the model's measures, popularity's and the lifts over it.

    Args:
        recommender: What is measured.
        task: Whom to make lists for, and what would be right; nobody leaves the counts alone.
        ks: Lengths of the lists.
        counts: Training ratings of each movie, shape (M,).
        cold_users: Distinct test users the model does not know.
        tell: Told after every block of users.
    """
    device = recommender.model.global_mean.device
    scorers = {"": catalogue_scores(recommender.model), "popularity_": popularity_scores(counts, device=device)}
    metrics = _counts(task, cold_users)
    for prefix, scorer in scorers.items():
        on_block = _progress(f"rank {prefix.rstrip('_') or 'model'}", len(task.users), tell)
        measures = rank(scorer, task, ks=ks, device=device, on_block=on_block)
        metrics |= {f"test/{prefix}{name}": value for name, value in measures.items()}
    return metrics | _popularity_lifts(metrics, ks)


def _counts(task: Task, cold_users: int) -> dict[str, float]:
    return {
        "test/ranking_users": float(len(task.users)),
        "test/ranking_users_without_relevant": float(task.users_without_relevant),
        "test/ranking_users_cold": float(cold_users),
        "test/ranking_relevant": float(task.relevant.sum()),
        "test/ranking_relevant_cold": float(task.relevant_cold),
    }


def _popularity_lifts(metrics: dict[str, float], ks: Sequence[int]) -> dict[str, float]:
    lifts: dict[str, float] = {}
    for k in sorted(set(ks)):
        model, floor = (metrics.get(f"test/{prefix}ndcg_at_{k}") for prefix in ("", "popularity_"))
        share = None if model is None or floor is None else lift(model, floor, lower_is_better=False)
        if share is not None:
            lifts[f"test/lift_over_popularity_ndcg_at_{k}_fraction"] = share
    return lifts


def _progress(stage: str, total: int, tell: OnRecord) -> Callable[[int], None]:
    return lambda done: tell(EvaluationProgress(stage, done / total))
