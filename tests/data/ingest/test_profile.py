"""The profile of a data set."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfmodel.config import IngestSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.ingest.profile import Profile, read_profile
from cfmodel.errors import DigestError
from cfmodel.refs import Accounts

DAY = 86_400
TEXT = f"u,a,1,0\nu,b,3,{DAY}\nv,a,5,{2 * DAY}\nu,c,3,{2 * DAY + 5}\nv,a,x,7\nu,a,2,-1\n"


@pytest.fixture
def data(read, write):
    return read(write("x.csv", TEXT), on_bad_row="quarantine", max_bad_fraction=1)[0]


def test_a_profile_counts_rows_ratings_users_movies_and_times(data):
    profile = read_profile(data.path)
    assert profile.accounts == Accounts(rows_in=6, kept=4, quarantined=1, merged=1)
    assert profile.quarantined_by_reason == {"rating is not a number": 1}
    assert profile.density == 4 / (2 * 3)
    ratings = profile.ratings
    assert (ratings.low, ratings.high, ratings.step, ratings.mean) == (1.0, 5.0, 2.0, 3.0)
    assert ratings.std == pytest.approx(np.std([1, 3, 5, 3]))
    assert (ratings.histogram.edges, ratings.histogram.counts) == ((1.0, 3.0, 5.0), (1, 2, 1))
    assert (profile.users.number, profile.users.curve, profile.users.top_share) == (2, ((1, 3), (2, 1)), 0.75)
    assert (profile.movies.number, profile.movies.quantiles[0], profile.movies.quantiles[-1]) == (3, 1, 2)
    assert profile.times is not None
    assert (profile.times.first, profile.times.last, profile.times.missing) == (0, 2 * DAY + 5, 0)
    assert profile.times.histogram.counts == (1, 1, 2)


@given(
    ratings=st.lists(st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 6)), min_size=1, max_size=50),
    moments=st.lists(st.integers(-(9 * 10**9), 9 * 10**9), min_size=50, max_size=50),
)
@settings(deadline=None, max_examples=20)
def test_a_profile_agrees_with_numpy(ratings, moments, tmp_path_factory, monkeypatch_module):
    folder = tmp_path_factory.mktemp("profile")
    path = folder / "x.csv"
    path.write_text("".join(f"{user},1,{rating:f},{moments[user]}\n" for user, rating in enumerate(ratings)))
    ref = ingest(str(path), IngestSettings(timestamp_unit="s"), folder=folder)
    profile = read_profile(ref.path)
    values = np.array([float(f"{rating:f}") for rating in ratings])
    assert profile.ratings.mean == pytest.approx(values.mean(), abs=1e-6)
    assert profile.ratings.std == pytest.approx(values.std(), abs=1e-5)
    assert sum(profile.ratings.histogram.counts) == len(ratings)
    assert profile.times is not None
    assert sum(profile.times.histogram.counts) == len(ratings)
    assert len(profile.times.histogram.counts) <= 61


@pytest.fixture(scope="module")
def monkeypatch_module():
    """Ratings of more than a few levels are binned, here from five on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cfmodel.data.ingest.profile._MOST_LEVELS", 5)
        yield


def test_a_data_set_without_timestamps_has_no_time_profile(read, write):
    assert read_profile(read(write("x.csv", "1,2,3\n"))[0].path).times is None


def test_a_missing_profile_is_refused(tmp_path):
    with pytest.raises(DigestError, match=r"profile.json: cannot be read .*; ingest the source again"):
        read_profile(tmp_path)


def test_a_profile_survives_json(data):
    profile = read_profile(data.path)
    assert Profile.model_validate(json.loads(profile.model_dump_json())) == profile
