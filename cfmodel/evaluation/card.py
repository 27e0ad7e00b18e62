"""Metric card: what the logged metrics mean, in Markdown, for anyone who compares runs."""

from cfmodel.baselines import DAMPING_MOVIE, DAMPING_USER
from cfmodel.config import EvaluationSettings
from cfmodel.evaluation.ranking import RankingTask
from cfmodel.evaluation.read_split import EvaluationRatings
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef


def metric_card(
    recommender: Recommender,
    split: SplitRef,
    settings: EvaluationSettings,
    *,
    ratings: EvaluationRatings,
    task: RankingTask,
) -> str:
    """Return the rules behind every key under `test/`, in Markdown.

    Args:
        recommender: The evaluated recommender.
        split: The split with the test ratings.
        settings: The settings of the evaluation.
        ratings: The ratings read from the split.
        task: The ranking task.
    """
    low, high, threshold = recommender.rating_min, recommender.rating_max, task.threshold
    cold_users = ratings.user_ids.unknown
    at_k = ", ".join(f"`_at_{k}`" for k in sorted(set(settings.k)))
    drawn = f", drawn with seed {settings.seed}" if len(task.users) < task.eligible_users else ""
    return f"""# Metric card

Split `{split.strategy}` of `{split.source}`, digest `{split.digest[:12]}`: {split.test_rows:,} test ratings.
Model: {len(recommender.users):,} users, {len(recommender.movies):,} movies. The baselines are fitted on
{" and ".join(ratings.trained_parts)}.

## Predicted ratings

- Every test row is counted, none is dropped. RMSE and MAE are means over rows, in rating units.
- Predictions, also those of the baselines, are clamped to the training range [{low:g}, {high:g}].
- `warm`: user and movie are in training. `cold_user`, `cold_movie`: only that one is not; `cold_both`: neither is.
  The four slices hold every row once; one without rows has `rows` 0 and no error.
- A cold user or movie adds nothing: the prediction falls back to the global mean and the bias of the known one.
- `global_mean`: the training mean for every row. `damped_bias`: mean + movie bias + user bias, movies first, each the
  sum of its residuals over (its ratings + {DAMPING_MOVIE:g}; for users {DAMPING_USER:g}); a cold one adds nothing.
- `lift_over_NAME_fraction` = 1 - RMSE of the model / RMSE of the baseline; above 0 the model is better.

## New users

- `new_user`: cold users folded in, without training, from the older half of their test ratings (a half drawn by seed
  if there are no timestamps); the other half is predicted. `new_users` counts them; a user with one rating is not
  included. `rmse_new_user_unfolded`: the same rows predicted by the fallback for cold users.
- `folded_in`: warm test users treated as new: folded in from their training ratings, their test rows predicted.
  `rmse_folded_in_learned`: the same rows predicted by the learned tastes. The movies' vectors were learned from these
  users too.
- Of each kind at most {settings.ranking_users or "all"} users, drawn with seed {settings.seed}. A taste is folded in by
  least squares on the movies' fixed vectors, with the mean and covariance of the trained users as prior.

## Ranked lists ({at_k})

- Candidates: every movie of the training catalogue ({task.num_movies:,}) that the user has not rated in
  {" or ".join(ratings.seen_parts) or "any part (none is left out)"}; no sampled negatives.
- Order: by score, highest first, unclamped; equal scores by the lower movie row (ids in bytewise order).
- Relevant: a test movie that the user rated {threshold:g} or higher and that is a candidate or cold; a movie rated
  twice counts once.
- Users measured: {len(task.users):,} of the {task.eligible_users:,} warm test users with a rating of {threshold:g} or
  higher{drawn}. Measures are means over them, each user weighing the same.
- Not included in the mean: {task.users_without_relevant:,} warm test users without a relevant movie, and the
  {cold_users:,} cold users, who have no list of their own.
- Cold movies cannot be in a list. If relevant, they count as missed: {task.relevant_cold:,} of the
  {int(task.relevant.sum()):,} relevant movies.

With n relevant movies of a user and hit_i = 1 where position i of the list is relevant:

| key | formula |
|---|---|
| `ndcg` | sum of hit_i / log2(i + 1), over the same sum for hits at positions 1 to min(k, n) |
| `recall` | hits / n |
| `precision` | hits / k, also where a user has fewer than k candidates |
| `map` | sum of hit_i x (hits up to i) / i, over min(k, n) |
| `mrr` | 1 / position of the first hit, 0 without one |
| `hit_rate` | 1 with a hit, 0 without |
| `coverage` | distinct movies in the lists of all measured users, over the catalogue |

- `popularity`: every user gets the movies with the most training ratings first, without the seen ones; equal counts
  by the lower row.
- `lift_over_popularity_ndcg_at_k_fraction` = nDCG of the model / nDCG of popularity - 1; above 0 the model is
  better.
- A model of ratings learns how much a movie is liked by those who chose to rate it, not who will choose it. Therefore
  popularity can be better here although it is worse on predicted ratings.
"""
