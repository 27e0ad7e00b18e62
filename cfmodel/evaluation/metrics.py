"""Metrics of an evaluation, by the keys under which they are logged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cfmodel.evaluation.accuracy import Accuracy
from cfmodel.evaluation.baseline_errors import baseline_metrics, baseline_predictions, lift
from cfmodel.evaluation.ranking import RankingTask, rank_measures
from cfmodel.evaluation.read_split import EvaluationRatings
from cfmodel.evaluation.slices import warmth_metrics
from cfmodel.recommending.recommender import Recommender
from cfmodel.recommending.top_k import catalogue_scores, popularity_scores


@dataclass(frozen=True)
class EvaluationProgress:
    """Progress of an evaluation, for progress bars.

    Attributes:
        stage: The current stage: `predict`, `fold in`, `rank model` or `rank popularity`.
        fraction: Fraction of that stage that is done, 0 to 1.
    """

    stage: str
    fraction: float


#: Takes every record as it is made; `list.append` is one.
OnRecord = Callable[[EvaluationProgress], None]


def accuracy_metrics(
    recommender: Recommender, ratings: EvaluationRatings, predictions: npt.NDArray[np.float64]
) -> dict[str, float]:
    """Return rows, RMSE and MAE over all rows and by warmth, and the baselines' errors and the lifts over them."""
    test = ratings.test
    baselines = baseline_predictions(
        ratings.trained,
        test,
        num_users=len(recommender.users),
        num_movies=len(recommender.movies),
        rating_min=recommender.rating_min,
        rating_max=recommender.rating_max,
    )
    metrics = Accuracy.of(predictions, test.rating).metrics() | warmth_metrics(test, predictions)
    return metrics | baseline_metrics(metrics["test/rmse"], baselines, test.rating)


def ranking_metrics(
    recommender: Recommender,
    task: RankingTask,
    *,
    ks: Sequence[int],
    counts: npt.NDArray[np.int64],
    cold_users: int,
    on_record: OnRecord,
) -> dict[str, float]:
    """Return the counts of users, the measures of the model and of popularity, and the lifts over it.

    Args:
        task: The users and their relevant movies; without users there are only the counts.
        counts: Training ratings of each movie, shape (M,).
        cold_users: Distinct test users the model does not know.
        on_record: Takes the progress after every block of users.
    """
    device = recommender.model.global_mean.device
    scorers = {"": catalogue_scores(recommender.model), "popularity_": popularity_scores(counts, device=device)}
    metrics = _counts(task, cold_users)
    for prefix, scorer in scorers.items():
        on_block = _progress(f"rank {prefix.rstrip('_') or 'model'}", len(task.users), on_record)
        measures = rank_measures(scorer, task, ks=ks, device=device, on_block=on_block)
        metrics |= {f"test/{prefix}{name}": value for name, value in measures.items()}
    return metrics | _popularity_lifts(metrics, ks)


def _counts(task: RankingTask, cold_users: int) -> dict[str, float]:
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
        model, baseline = (metrics.get(f"test/{prefix}ndcg_at_{k}") for prefix in ("", "popularity_"))
        share = None if model is None or baseline is None else lift(model, baseline, lower_is_better=False)
        if share is not None:
            lifts[f"test/lift_over_popularity_ndcg_at_{k}_fraction"] = share
    return lifts


def _progress(stage: str, total: int, on_record: OnRecord) -> Callable[[int], None]:
    return lambda done: on_record(EvaluationProgress(stage, done / total))
