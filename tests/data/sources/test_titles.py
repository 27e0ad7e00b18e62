"""Titles of movies."""

import zipfile
from pathlib import Path

import pytest

from cfmodel.data.sources.titles import find_titles, read_titles
from cfmodel.errors import DataError

CSV = 'movieId,title,genres\n007,"Good, the Bad and the Ugly, The (1966)",Western\n2,Amélie,Comedy\n'


def test_titles_are_found_next_to_the_ratings_file_or_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("")
    (tmp_path / "movies.csv").write_text(CSV, encoding="utf-8")
    for source in (tmp_path / "ratings.csv", tmp_path):
        found = find_titles(str(source), folder=tmp_path / "data")
        assert found == tmp_path / "movies.csv"
    assert read_titles(tmp_path / "movies.csv") == {
        "007": "Good, the Bad and the Ugly, The (1966)",
        "2": "Amélie",
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [("u.item", "1|Amélie (2001)|01-Jan-1995||http\n"), ("movies.dat", "1::Amélie (2001)::Comedy\n")],
)
def test_the_older_layouts_are_read(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="latin-1")
    assert read_titles(tmp_path / name) == {"1": "Amélie (2001)"}


def test_titles_of_a_downloaded_set_are_read_from_its_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CFMODEL_DATA_DIR", raising=False)
    (tmp_path / "downloads").mkdir()
    assert find_titles("ml-1m", folder=tmp_path) is None
    with zipfile.ZipFile(tmp_path / "downloads" / "ml-1m.zip", "w") as archive:
        archive.writestr("ml-1m/movies.dat", "1::Toy Story (1995)::Animation\n")
    found = find_titles("ml-1m", folder=tmp_path)
    assert found is not None
    assert read_titles(found) == {"1": "Toy Story (1995)"}


def test_titles_of_an_unpacked_set_are_found(real_data: Path, tmp_path: Path) -> None:
    for name, id, title in (("ml-100k", "50", "Star Wars (1977)"), ("ml-latest-small", "1", "Toy Story (1995)")):
        found = find_titles(name, folder=tmp_path)
        assert found is not None
        assert read_titles(found)[id] == title


def test_synthetic_ratings_have_no_titles(tmp_path: Path) -> None:
    assert find_titles("synthetic:users=5,movies=5,ratings=9", folder=tmp_path) is None


def test_a_file_without_titles_is_refused(tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text("nothing\n")
    for name in ("movies.csv", "absent.csv"):
        with pytest.raises(DataError, match=r"titles cannot be read .*; set scoring\.titles"):
            read_titles(tmp_path / name)
