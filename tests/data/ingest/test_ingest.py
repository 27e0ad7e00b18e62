"""Ingest: reuse by content, and what is written beside the ratings."""

import json
import os

from cfmodel.config import IngestSettings
from cfmodel.data.ingest.ingest import ingest
from cfmodel.data.sources.sources import digest_of_source, resolve_source
from cfmodel.housekeeping.folders import last_used
from cfmodel.refs import Accounts


def test_an_equal_data_set_is_reused_and_a_damaged_one_is_made_again(read, write):
    path = write("x.csv", "1,2,3\n")
    first, _ = read(path)
    copy, _ = read(write("copy.csv", "1,2,3\n"))
    assert copy == first.model_copy(update={"source": copy.source})
    (first.path / "ratings.parquet").write_bytes(b"damaged")
    again, rows = read(path)
    assert (again.digest, len(rows)) == (first.digest, 1)
    assert read(path, rating_range=(1, 5))[0].path != first.path
    assert sorted(file.name for file in first.path.iterdir()) == [
        "manifest.json",
        "profile.json",
        "ratings.parquet",
        "snapshot.parquet",
    ]


def test_a_ref_says_whether_its_data_set_was_reused(read, write):
    path = write("x.csv", "1,2,3\n")
    first, again = read(path)[0], read(path)[0]
    assert (first.reused, again.reused) == (False, True)
    (first.path / "ratings.parquet").write_bytes(b"damaged")
    assert not read(path)[0].reused
    assert "reused" not in (first.path / "manifest.json").read_text()


def test_a_reused_data_set_counts_as_just_used(read, write):
    path = write("x.csv", "1,2,3\n")
    folder = read(path)[0].path
    for each in (*folder.iterdir(), folder):
        os.utime(each, (0, 0))
    read(path)
    assert last_used(folder).year > 1970


def test_the_source_digest_is_over_bytes_and_not_over_names(write, tmp_path):
    def digest(source):
        return digest_of_source(resolve_source(str(source), folder=tmp_path))

    one, same, other = write("a.csv", "1,2,3\n"), write("b.csv", "1,2,3\n"), write("c.csv", "1,2,4\n")
    assert digest(one) == digest(same) != digest(other)
    assert digest("synthetic:seed=1") == digest("synthetic:seed=1,users=4000") != digest("synthetic:seed=2")


def test_the_source_is_not_changed(read, write):
    path = write("x.csv", "1,2,3\n")
    path.chmod(0o444)
    before = path.stat()
    read(path)
    assert (path.read_text(), path.stat().st_mtime_ns) == ("1,2,3\n", before.st_mtime_ns)


def test_synthetic_ratings_are_ingested_with_their_noise_floor(tmp_path):
    ref = ingest("synthetic:users=30,movies=20,ratings=200,noise=0.7", IngestSettings(), folder=tmp_path)
    assert (ref.rows, ref.users, ref.movies, ref.noise_floor, ref.has_timestamps) == (200, 30, 20, 0.7, True)


def test_the_manifest_counts_the_rows_of_each_file(read, write):
    write("set/a.csv", "1,2,3\n\n# a comment\n1,3,x\n")
    path = write("set/b.tsv", "2\t2\t3\n")
    ref, _ = read(path.parent, on_bad_row="quarantine", max_bad_fraction=1)
    files = json.loads((ref.path / "manifest.json").read_text())["files"]
    assert [(file["name"], file["separator"]) for file in files] == [("a.csv", ","), ("b.tsv", "\t")]
    assert Accounts(**files[0]["accounts"]) == Accounts(rows_in=2, kept=1, quarantined=1, ignored=1)
