"""Drift between two runs of a source."""

import numpy as np
import pytest

from cfmodel.config import IngestSettings
from cfmodel.data.ingest.drift import Snapshot, snapshot_path
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.sources.sources import digest_of_source, resolve_source
from cfmodel.errors import DataError

DAY = 86_400
TEXT = f"u,a,1,0\nu,b,3,{DAY}\nv,a,5,{2 * DAY}\nu,c,3,{2 * DAY + 5}\nv,a,x,7\nu,a,2,-1\n"


@pytest.fixture
def data(read, write):
    return read(write("x.csv", TEXT), on_bad_row="quarantine", max_bad_fraction=1)[0]


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
def test_too_much_drift_stops_the_run_and_the_previous_data_stay_the_reference(text, limit, said, changed, tmp_path):
    for _ in range(2):
        with pytest.raises(DataError, match=rf"nightly.csv: too different from the previous run's data: .*{said}"):
            changed(text, **limit)
    path = str(tmp_path / "nightly.csv")
    assert ingest(path, IngestSettings(), folder=tmp_path).drift is not None
    assert ingest(path, IngestSettings(drift=limit), folder=tmp_path).drift is None


def test_little_drift_is_within_the_limits(changed):
    limits = {"max_volume_change": 0.3, "max_mean_shift": 0.5, "max_new_share": 0.5}
    assert changed(BEFORE + "new,m1,3\n", **limits).drift is not None


def test_the_previous_run_is_found_by_the_sources_name_not_by_its_bytes(write, tmp_path):
    def before(path):
        snapshot = Snapshot.read(snapshot_path(str(path), folder=tmp_path))
        now = digest_of_source(resolve_source(str(path), folder=tmp_path))
        return "" if snapshot is None or snapshot.figures.source_digest == now else snapshot.figures.digest

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


def test_a_damaged_snapshot_of_the_previous_run_is_ignored(changed, tmp_path):
    changed(BEFORE + "x,y,3\n")
    (remembered,) = (tmp_path / "profiles").iterdir()
    remembered.write_bytes(b"PAR1 and no more")
    assert changed(BEFORE + "z,y,3\n").drift is not None
