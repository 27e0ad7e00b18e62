"""The metric card: what the logged numbers mean, in prose, for whoever compares runs."""

from cfmodel.baselines import DAMPING_MOVIE, DAMPING_USER
from cfmodel.config import EvaluationSettings
from cfmodel.evaluation.ranking import Task
from cfmodel.evaluation.read_split import EvaluationRatings
from cfmodel.recommending.recommender import Recommender
from cfmodel.refs import SplitRef


def metric_card(
    recommender: Recommender, split: SplitRef, settings: EvaluationSettings, *, ratings: EvaluationRatings, task: Task
) -> str:
    """Write down, in Markdown, the rules behind every key under `test/`.

    Args:
        recommender: What was evaluated.
        split: On which ratings.
        settings: With which settings.
        ratings: What was read of the split.
        task: Who was measured in the ranking.
    """
    low, high, threshold = recommender.rating_min, recommender.rating_max, task.threshold
    cold_users = ratings.user_ids.unknown
    at_k = ", ".join(f"`_at_{k}`" for k in sorted(set(settings.k)))
    drawn = f", drawn with seed {settings.seed}" if len(task.users) < task.eligible_users else ""
    return f"""# Metric card

Split `{split.strategy}` of `{split.source}`, digest `{split.digest[:12]}`: {split.test_rows:,} test ratings.
Model: {len(recommender.users):,} users, {len(recommender.movies):,} movies. The floors are fitted on
{" and ".join(ratings.trained_parts)}.

## Predicted ratings

- Every test row is counted, none is dropped. RMSE and MAE are means over rows, in rating units.
- Predictions, the floors' too, are clamped to the training range [{low:g}, {high:g}].
- `warm`: user and movie are in training. `cold_user`, `cold_movie`: that side alone is not; `cold_both`: neither is.
  The four slices hold every row once; one without rows has `rows` 0 and no error.
- A cold side adds nothing: the prediction falls back to the global mean and the known side's bias.
- `global_mean`: the training mean for every row. `damped_bias`: mean + movie bias + user bias, movies first, each the
  sum of its residuals over (its ratings + {DAMPING_MOVIE:g}; for users {DAMPING_USER:g}); a cold side adds nothing.
- `lift_over_FLOOR_fraction` = 1 - RMSE of the model / RMSE of the floor; above 0 the model is better.

## New users

- `new_user`: cold users folded in, without training, from the older half of their test ratings (a half drawn by seed
  where there are no timestamps); the other half is predicted. `new_users` counts them; a user with one rating is not
  among them. `rmse_new_user_unfolded`: the same rows by the fallback for cold users.
- `folded_in`: warm test users taken for new: folded in from their training ratings, their test rows predicted.
  `rmse_folded_in_learned`: the same rows by the tastes learned. The movies' vectors were learned from these users too.
- Of each kind at most {settings.ranking_users or "all"} users, drawn with seed {settings.seed}. A taste is folded in by
  least squares on the movies' fixed vectors, with the mean and covariance of the trained users as prior.

## Ranked lists ({at_k})

- Candidates: every movie of the training catalogue ({task.num_movies:,}) that the user has not rated in
  {" or ".join(ratings.seen_parts) or "any part (none is left out)"}; no sampled negatives.
- Order: by score, highest first, unclamped; equal scores by the lower movie row (ids in bytewise order).
- Relevant: a test movie that the user rated {threshold:g} or higher and that is a candidate or cold; one rated twice
  counts once.
- Users measured: {len(task.users):,} of the {task.eligible_users:,} warm test users with a rating of {threshold:g} or
  higher{drawn}. Measures are means over them, each user weighing the same.
- Left out of the mean: {task.users_without_relevant:,} warm test users without a relevant movie, and the
  {cold_users:,} cold ones, who have no list of their own.
- Cold movies cannot be in a list. Where relevant, they count as missed: {task.relevant_cold:,} of the
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
| `coverage` | distinct movies in any measured user's list, over the catalogue |

- `popularity`: everybody gets the movies with most training ratings first, seen ones left out; equal counts by
  lower row.
- `lift_over_popularity_ndcg_at_k_fraction` = nDCG of the model / nDCG of popularity - 1; above 0 the model is
  better.
- A model of ratings learns how much a movie is liked by those who chose to rate it, not who will choose it; popularity
  can therefore lead here while it trails on predicted ratings.
"""
