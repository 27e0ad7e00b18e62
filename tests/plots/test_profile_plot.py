"""The picture of a data set's profile."""

import pytest

from cfmodel.config import IngestSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.ingest.profile import read_profile
from cfmodel.plots import profile_plot

DAY = 86_400
TEXT = f"u,a,1,0\nu,b,3,{DAY}\nv,a,5,{2 * DAY}\nu,c,3,{2 * DAY + 5}\nv,a,x,7\nu,a,2,-1\n"


@pytest.mark.parametrize("source", ["1,2,3\n", TEXT, "$a,$b,3,-9214646400\n", "1,2,1e15,253402300799\n2,2,-1e15,0\n"])
def test_every_profile_can_be_drawn(source, tmp_path):
    path = tmp_path / "x $ y.csv"
    path.write_text(source)
    settings = IngestSettings(on_bad_row="quarantine", max_bad_fraction=1)
    ref = ingest(str(path), settings, folder=tmp_path / "data")
    figure = profile_plot.data_profile(read_profile(ref.path), ref)
    figure.savefig(tmp_path / "x.png")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:5] == ["Ratings", "Activity", "Popularity", "Time", "What became of the rows"]
