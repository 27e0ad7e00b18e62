"""What a data set looks like is counted right, drawn, and held against the run before."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cfmodel.config import IngestSettings
from cfmodel.data.ingest.ingest import ingest, previous_digest, source_digest
from cfmodel.data.ingest.profile import Profile, read_profile
from cfmodel.errors import DataError, DigestError
from cfmodel.plots import profile_plot
from cfmodel.refs import Accounts

DAY = 86_400
TEXT = f"u,a,1,0\nu,b,3,{DAY}\nv,a,5,{2 * DAY}\nu,c,3,{2 * DAY + 5}\nv,a,x,7\nu,a,2,-1\n"


@pytest.fixture
def data(read, write):
    return read(write("x.csv", TEXT), on_bad_row="quarantine", max_bad_fraction=1)[0]


def test_a_profile_counts_what_there_is(data):
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
    moments=st.lists(st.integers(-(10**10), 10**10), min_size=50, max_size=50),
)
@settings(deadline=None, max_examples=20)
def test_it_is_what_numpy_says(ratings, moments, tmp_path_factory, monkeypatch_module):
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


def test_a_data_set_without_timestamps_has_no_time(read, write):
    assert read_profile(read(write("x.csv", "1,2,3\n"))[0].path).times is None


def test_a_profile_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DigestError, match=r"profile.json: cannot be read .*; ingest the source again"):
        read_profile(tmp_path)


@pytest.mark.parametrize("source", ["1,2,3\n", TEXT, "$a,$b,3,-62135596800\n", "1,2,1e15,253402300799\n2,2,-1e15,0\n"])
def test_every_profile_can_be_drawn(source, read, write, tmp_path):
    ref, _ = read(write("x $ y.csv", source), on_bad_row="quarantine", max_bad_fraction=1)
    figure = profile_plot.data_profile(read_profile(ref.path), ref)
    figure.savefig(tmp_path / "x.png")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:5] == ["Ratings", "Activity", "Popularity", "Time", "What became of the rows"]


BEFORE = "".join(f"u{user},m{user % 10},{1 + user % 5}\n" for user in range(100))


@pytest.fixture
def changed(write, tmp_path):
    """Ingest a source, then what became of it."""

    def changed(text, **drift):
        path, settings = write("nightly.csv", BEFORE), IngestSettings(drift=drift)
        ingest(str(path), settings, folder=tmp_path)
        path.write_text(text)
        return ingest(str(path), settings, folder=tmp_path)

    return changed


def test_the_first_run_of_a_source_has_nothing_to_compare_with(data):
    assert data.drift is None


def test_drift_is_the_change_of_volume_mean_and_ids(changed):
    now = "".join(f"u{user},m{user % 10},5\n" for user in range(50)) + "new,m1,5\nnew,m-new,5\n"
    drift = changed(now).drift
    assert drift is not None
    assert drift.volume_change == pytest.approx(52 / 100 - 1)
    assert drift.mean_shift == pytest.approx((5 - 3) / np.sqrt(2))
    assert drift.new_user_share == pytest.approx(1 / 51)
    assert drift.new_movie_share == pytest.approx(1 / 11)


@pytest.mark.parametrize(
    ("text", "limit", "said"),
    [
        (BEFORE[: BEFORE.index("u55")], {"max_volume_change": 0.3}, r"-4\d\.\d% ratings .*max_volume_change = 0.3"),
        (BEFORE.replace(",1\n", ",5\n"), {"max_mean_shift": 0.5}, r"shifted by \+0.57 standard deviations"),
        (BEFORE.replace("u", "v"), {"max_new_share": 0.5}, r"100.0% of the users are new \(ingest.drift.max_new_share"),
        (BEFORE.replace("m", "n"), {"max_new_share": 0.5}, r"100.0% of the movies are new"),
    ],
)
def test_too_much_drift_stops_the_run_and_is_not_taken_for_normal(text, limit, said, changed, tmp_path):
    for _ in range(2):
        with pytest.raises(DataError, match=rf"nightly.csv: too different from the previous run's data: .*{said}"):
            changed(text, **limit)
    path = str(tmp_path / "nightly.csv")
    assert ingest(path, IngestSettings(), folder=tmp_path).drift is not None
    assert ingest(path, IngestSettings(drift=limit), folder=tmp_path).drift is None


def test_little_drift_passes_the_limits(changed):
    limits = {"max_volume_change": 0.3, "max_mean_shift": 0.5, "max_new_share": 0.5}
    assert changed(BEFORE + "new,m1,3\n", **limits).drift is not None


def test_the_previous_run_is_known_by_its_source_and_not_by_equal_bytes(write, tmp_path):
    def before(path):
        return previous_digest(str(path), folder=tmp_path, now=source_digest(str(path), folder=tmp_path))

    path, other = write("a.csv", BEFORE), write("b.csv", BEFORE)
    assert before(path) == ""
    first = ingest(str(path), IngestSettings(), folder=tmp_path)
    assert before(path) == before(other) == ""
    path.write_text(BEFORE[: BEFORE.index("u55")])
    assert before(path) == first.digest
    ingest(str(path), IngestSettings(), folder=tmp_path)
    path.write_text(BEFORE)
    again = ingest(str(path), IngestSettings(), folder=tmp_path)
    assert again.path == first.path
    assert again.drift is not None  # against the run in between, though the data set is the first one's
    assert again.drift.volume_change > 0


def test_a_damaged_memory_of_the_previous_run_is_as_none(changed, tmp_path):
    changed(BEFORE + "x,y,3\n")
    (remembered,) = (tmp_path / "profiles").iterdir()
    remembered.write_bytes(b"PAR1 and no more")
    assert changed(BEFORE + "z,y,3\n").drift is not None


def test_a_profile_survives_json(data):
    profile = read_profile(data.path)
    assert Profile.model_validate(json.loads(profile.model_dump_json())) == profile
