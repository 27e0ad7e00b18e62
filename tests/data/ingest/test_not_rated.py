"""Values that may mean "not rated"."""

import numpy as np
import pytest

from cfmodel.data.ingest.not_rated import suspect_not_rated
from cfmodel.data.ingest.profile import ProfileHistogram, RatingProfile, RatingsAtEnd


def profile(counts, **ends):
    levels = tuple(float(level) for level in counts)
    histogram = ProfileHistogram(edges=levels, counts=tuple(counts.values()))
    return RatingProfile(low=levels[0], high=levels[-1], step=None, mean=0.0, std=1.0, histogram=histogram, **ends)


TEN = {level: 100 * level for level in range(1, 11)}
STARS = {level: 500 * level for level in range(1, 6)}
HALVES = {level / 2: 90 + level for level in range(1, 11)}


@pytest.mark.parametrize(
    ("counts", "value"),
    [
        ({0: 9_000} | TEN, "0"),  # Book-Crossing
        ({-1: 1_000} | TEN, "-1"),  # lists of anime
        ({-1: 50, 0: 10} | TEN, "-1"),
        ({0: 200} | STARS, "0"),  # Goodreads' shelves
        (TEN | {99: 800}, "99"),
        (HALVES | {999: 3}, "999"),
        ({-99: 4} | STARS, "-99"),
    ],
)
def test_a_value_that_stands_apart_or_is_far_too_frequent_is_told_with_the_setting(counts, value):
    warning = suspect_not_rated(profile(counts))
    assert warning is not None
    assert warning.endswith(f"--set ingest.not_rated={value}")


@pytest.mark.parametrize(
    "counts",
    [
        {0: 40} | TEN,  # MovieTweetings
        {0: 1} | STARS,  # Ciao
        STARS,
        HALVES,
        {0: 300, 1: 700},  # likes
        {-1: 300, 0: 10, 1: 700},
        dict.fromkeys(range(101), 10),
        {0: 15} | HALVES,
        dict.fromkeys((1, 2, 4, 9, 352698), 1),
        {3: 10},
    ],
)
def test_an_honest_scale_raises_no_alarm(counts):
    assert suspect_not_rated(profile(counts)) is None


def test_among_many_distinct_ratings_the_ends_are_looked_at(read, write):
    values = np.random.default_rng(0).uniform(-10, 10, 2_000).round(4)
    rows = [f"{at % 50},{at},{value}\n" for at, value in enumerate(values)]
    assert all("not rated" not in warning for warning in read(write("x.csv", "".join(rows)))[0].warnings)
    rows += [f"{at % 50},{3_000 + at},99\n" for at in range(100)]
    path = write("y.csv", "".join(rows))
    assert "the rating 99 may mean 'not rated'" in read(path)[0].warnings[-1]
    ref, _ = read(path, not_rated=99)
    assert (ref.rating_max < 10.01, ref.accounts.unrated) == (True, 100)
    assert all("not rated" not in warning for warning in ref.warnings)


def test_ends_are_compared_with_the_width_of_the_scale():
    counts = dict.fromkeys(range(60), 10)
    near, far = RatingsAtEnd(count=5, next=0.1), RatingsAtEnd(count=300, next=0.1)
    assert suspect_not_rated(profile(counts, low_end=near, high_end=near)) is None
    assert suspect_not_rated(profile(counts, low_end=far, high_end=near)) is not None
