"""Synthetic ratings."""

import numpy as np
import pyarrow as pa
import pytest

from cfmodel.data.sources.synthetic import SyntheticSource
from cfmodel.errors import ConfigError
from cfmodel.schema import RATINGS


def table(source):
    return pa.Table.from_batches(list(SyntheticSource.parse(source).batches()))


@pytest.fixture(scope="module")
def default():
    ratings = table("synthetic")
    assert ratings.schema.equals(RATINGS)
    return arrays(ratings)


def arrays(ratings):
    users, movies = (ratings[name].to_numpy().astype(np.int64) - 1 for name in ("user_id", "movie_id"))
    return users, movies, ratings["rating"].to_numpy()


def test_the_default_set_has_its_number_of_ratings_users_and_movies(default):
    users, movies, _ = default
    assert (len(users), len(np.unique(users)), len(np.unique(movies))) == (1_000_000, 4000, 2000)


def test_no_user_rates_a_movie_twice(default):
    users, movies, _ = default
    assert len(np.unique(users * 2000 + movies)) == len(users)


def test_movies_are_skewed_by_popularity_and_users_by_activity(default):
    users, movies, _ = default
    popularity, activity = np.sort(np.bincount(movies)), np.sort(np.bincount(users))
    assert popularity[-200:].sum() > 0.25 * popularity.sum()  # a tenth of the movies
    assert activity[-400:].sum() > 0.25 * activity.sum()
    assert activity[0] >= 20


def test_a_damped_bias_baseline_is_far_above_the_noise_floor(default):
    users, movies, rating = default
    test = np.random.default_rng(0).random(len(rating)) < 0.1
    mean = rating[~test].mean()
    movie_bias = damped(rating[~test] - mean, movies[~test], 2000)
    user_bias = damped(rating[~test] - mean - movie_bias[movies[~test]], users[~test], 4000)
    error = rating[test] - mean - movie_bias[movies[test]] - user_bias[users[test]]
    assert np.sqrt(np.mean(error**2)) > 1.1 * SyntheticSource().noise


def damped(residual, index, rows):
    return np.bincount(index, residual, rows) / (np.bincount(index, minlength=rows) + 10)


def test_the_residual_of_the_true_model_is_the_noise():
    quiet = table("synthetic:users=200,movies=100,ratings=5000,noise=0")
    noisy = table("synthetic:users=200,movies=100,ratings=5000,noise=0.5")
    assert quiet["movie_id"].equals(noisy["movie_id"])
    left = noisy["rating"].to_numpy() - quiet["rating"].to_numpy()
    assert np.std(left) == pytest.approx(0.5, rel=0.05)
    assert abs(left.mean()) < 0.03


def test_the_seed_decides_the_ratings():
    one, two, three = (table(f"synthetic:users=30,movies=20,ratings=200,seed={seed}") for seed in (1, 1, 2))
    assert one.equals(two)
    assert not one.equals(three)


@pytest.mark.parametrize(
    "size", ["users=2,movies=3,ratings=3", "users=1,movies=2,ratings=1", "users=9,movies=9,ratings=40"]
)
def test_small_and_dense_sets_hold_distinct_pairs(size):
    ratings = table(f"synthetic:{size}")
    users, movies, _ = arrays(ratings)
    assert len(ratings) == int(size.split("=")[-1]) == len(set(zip(users, movies, strict=True)))


def test_blocks_are_bounded():
    sizes = [batch.num_rows for batch in SyntheticSource(users=3000, movies=500, ratings=600_000).batches()]
    assert sum(sizes) == 600_000
    assert max(sizes) <= 300_000


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("synthetic:user=5", "'user' is not a key; known: users, movies, ratings, seed"),
        ("synthetic:users=many", "users must be a whole number, not 'many'"),
        ("synthetic:users=5,users=6", "'users' is given twice"),
        ("synthetic:users=10,movies=10,ratings=51", "ratings must be between 10 and 50"),
        ("synthetic:noise=nan", "noise must be between"),
        ("synthetic:seed=-1", "seed must be between"),
    ],
)
def test_a_wrong_key_or_value_is_refused_with_its_name(source, message):
    with pytest.raises(ConfigError, match=message):
        SyntheticSource.parse(source)
